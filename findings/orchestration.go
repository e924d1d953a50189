package findings

func orchestrationRules() []Rule { return nil }
