package findings

func fileRules() []Rule { return nil }
