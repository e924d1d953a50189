package redact

import (
	"path"
	"strings"
)

// secretOptions are options of programs whose value is a secret although their name does not say so: written together with it, or before it.
var secretOptions = map[string][]string{
	"mysql": {"-p"}, "mysqldump": {"-p"}, "mysqladmin": {"-p"}, "mariadb": {"-p"}, "mariadb-dump": {"-p"}, "mariadb-admin": {"-p"}, "mongosh": {"-p"}, "mongo": {"-p"},
	"sshpass": {"-p"}, "redis-cli": {"-a"}, "curl": {"-u", "-U", "--user", "--proxy-user", "-b"}, "ldapsearch": {"-w"}, "ldapadd": {"-w"}, "ldapmodify": {"-w"}, "smbclient": {"-U"},
	"docker": {"-p"}, "podman": {"-p"}, "crictl": {"--creds", "--auth"}, "ctr": {"--user", "-u"}, "openssl": {"-K"},
}

// A command is a program with its arguments.
type command struct {
	args    []string
	options []string // those of secretOptions that are the program's
}

func newCommand(args []string) command {
	if len(args) == 0 {
		return command{}
	}
	return command{args, secretOptions[path.Base(args[0])]}
}

// spans returns what of argument i is a secret by the argument before it, or by the program.
func (c command) spans(i int) []Span {
	if i == 0 || c.args[i] == "" {
		return nil
	}
	a, before := c.args[i], c.args[i-1]
	if name := strings.TrimLeft(before, "-"); i > 1 && name != before && !strings.ContainsAny(name, "=: ") && a[0] != '-' && Sounds(name) && !isPlain(a) {
		return []Span{{0, len(a), shortName(name)}}
	}
	for _, o := range c.options {
		switch {
		case i > 1 && before == o && a[0] != '-':
			return []Span{{0, len(a), o}}
		case len(o) == 2 && len(a) > 2 && strings.HasPrefix(a, o) && a[1] != '-':
			return []Span{{2, len(a), o}}
		}
	}
	return nil
}

// isShellOption reports whether the argument behind an option is a text that a shell runs, as behind -c and -ec.
func isShellOption(a string) bool {
	return len(a) >= 2 && len(a) <= 8 && a[0] == '-' && a[1] != '-' && a[len(a)-1] == 'c'
}
