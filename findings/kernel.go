package findings

func kernelRules() []Rule { return nil }
