package truth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// An SSLine is what ss says of one socket.
type SSLine struct {
	File          string // ss, ss_netlink ...
	NetID         string // such as tcp, u_str; empty where ss was asked for one kind alone
	State         string
	Receive, Send int64
	Local, Peer   string // as they are: address and port, or name and inode of a unix socket
	LocalInode    uint64 // of unix sockets
	PeerInode     uint64
	Users         []SSUser
	// Words are those that follow, such as timer:(on,2min,3), uid:7, cubic, by what stands
	// before the colon; a word without a colon has itself.
	Words map[string]string
}

// An SSUser is a process that has the socket open.
type SSUser struct {
	PID int32
	FD  int
}

var (
	ssStates = `ESTAB|SYN-SENT|SYN-RECV|FIN-WAIT-1|FIN-WAIT-2|TIME-WAIT|UNCONN|CLOSE-WAIT|LAST-ACK|LISTEN|CLOSING`
	// A line begins with a kind and a state, or a state alone. Names may have newlines.
	ssBegin = regexp.MustCompile(`^(?:(\S+)\s+)?(` + ssStates + `)\s+(-?\d+)\s+(-?\d+) `)
	ssUnix  = regexp.MustCompile(`(?s)^\s*(.*?) (\d+)\s+\* (\d+)\s(.*)$`)
	ssInet  = regexp.MustCompile(`(?s)^\s*(\S+)\s+(\S+)\s?(.*)$`)
	ssUser  = regexp.MustCompile(`pid=(\d+),fd=(\d+)\)`)
)

// ReadSS reads a file that ss wrote, such as net/N/ss. What is not there has no lines.
func ReadSS(path string) ([]SSLine, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var texts []string
	for line := range strings.Lines(string(data)) {
		switch {
		case strings.HasPrefix(line, "`- "): // an association of the one before
		case ssBegin.MatchString(line):
			texts = append(texts, line)
		case len(texts) > 0:
			texts[len(texts)-1] += line
		}
	}
	var all []SSLine
	for _, text := range texts {
		s, err := parseSS(text)
		if err != nil {
			return nil, fmt.Errorf("truth: %s: %q: %w", path, text, err)
		}
		s.File = filepath.Base(path)
		all = append(all, s)
	}
	return all, nil
}

func parseSS(text string) (s SSLine, err error) {
	m := ssBegin.FindStringSubmatch(text)
	s.NetID, s.State = m[1], m[2]
	s.Receive, _ = strconv.ParseInt(m[3], 10, 64)
	s.Send, _ = strconv.ParseInt(m[4], 10, 64)
	rest := strings.TrimRight(text[len(m[0]):], "\n")
	var more string
	if strings.HasPrefix(s.NetID, "u_") {
		u := ssUnix.FindStringSubmatch(rest + " ")
		if u == nil {
			return s, errors.New("no unix socket")
		}
		s.Local, more = strings.TrimLeft(u[1], " "), u[4]
		s.LocalInode, _ = strconv.ParseUint(u[2], 10, 64)
		s.PeerInode, _ = strconv.ParseUint(u[3], 10, 64)
	} else {
		u := ssInet.FindStringSubmatch(rest)
		if u == nil {
			return s, errors.New("no ends")
		}
		s.Local, s.Peer, more = u[1], u[2], u[3]
	}
	for _, u := range ssUser.FindAllStringSubmatch(more, -1) {
		pid, _ := strconv.ParseInt(u[1], 10, 32)
		fd, _ := strconv.Atoi(u[2])
		s.Users = append(s.Users, SSUser{int32(pid), fd})
	}
	s.Words = map[string]string{}
	for _, word := range ssWords(more) {
		name, value, colon := strings.Cut(word, ":")
		if !colon {
			value = word
		}
		s.Words[name] = value
	}
	return s, nil
}

// ssWords cuts words at blanks that are in no brackets. A name of a process may have both;
// those of users end with two brackets.
func ssWords(text string) []string {
	var words []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := strings.IndexAny(text, " (")
		switch {
		case end < 0:
			end = len(text)
		case strings.HasPrefix(text, "users:(("):
			if i := strings.Index(text, "))"); i >= 0 {
				end = i + 2
			}
		case text[end] == '(' && strings.Contains(text[end:], ")"):
			end += strings.Index(text[end:], ")") + 1
		}
		words = append(words, text[:end])
		text = text[end:]
	}
	return words
}
