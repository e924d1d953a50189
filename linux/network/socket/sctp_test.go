package socket

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// An ssAssociation is what ss says of an association, in its own words.
type ssAssociation struct {
	Cookie, Ends                         string
	Locals, Peers                        string
	State, Tag, PeerTag, Window, PeerWin string
	In, Out                              string
}

var ssWord1 = regexp.MustCompile(`(\w+):(\S+)`)

// associationsOfSS returns the associations in a file of ss: lines below that of their socket.
func associationsOfSS(t *testing.T, path string) (all []ssAssociation) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		text, ok := strings.CutPrefix(line, "`- ")
		if !ok {
			continue
		}
		f := strings.Fields(text) // state, queues, both ends
		words := map[string]string{}
		for _, w := range ssWord1.FindAllStringSubmatch(text, -1) {
			words[w[1]] = w[2]
		}
		if words["peers"] == "" { // before 5.18, a socket that ss met again (sctp_sock_dump)
			continue
		}
		all = append(all, ssAssociation{
			Cookie: words["sk"], Ends: ssAddress(f[3]) + " " + ssAddress(f[4]), Locals: words["locals"], Peers: words["peers"], State: words["state"], Tag: words["tag"], PeerTag: words["ptag"],
			Window: words["rwnd"], PeerWin: words["prwnd"], In: words["instrms"], Out: words["outstrms"],
		})
	}
	return all
}

// inSS returns an association as ss shows it: without the numbers that are 0, and an IPv4 address of
// an IPv6 socket as such.
func (a *Association) inSS(s *Socket) ssAssociation {
	number := func(format string, n any) string {
		if text := fmt.Sprintf(format, n); text != "0" {
			return text
		}
		return ""
	}
	end := func(all []netip.Addr, port uint16) string {
		ip := all[0]
		if s.Family == Inet6 && ip.Is4() {
			return "" // ss takes it for IPv6, and shows what is behind it in memory
		}
		return ssEnd(s, Address{ip: ip}, uint32(port))
	}
	join := func(all []netip.Addr) string {
		var texts []string
		for _, ip := range all {
			texts = append(texts, ip.String())
		}
		return strings.Join(texts, ",")
	}
	return ssAssociation{
		Cookie: fmt.Sprintf("%x", s.Cookie), Ends: end(a.LocalAddresses, a.LocalPort) + " " + end([]netip.Addr{a.Primary}, a.RemotePort), Locals: join(a.LocalAddresses),
		Peers: join(a.RemoteAddresses), State: a.State.String(), Tag: number("%x", a.Tag), PeerTag: number("%x", a.RemoteTag), Window: number("%d", a.Window),
		PeerWin: number("%d", a.RemoteWindow), In: number("%d", a.InStreams), Out: number("%d", a.OutStreams),
	}
}

// checkAssociations compares all associations with those that ss showed, in each namespace.
func checkAssociations(t *testing.T, all []*Socket, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "net", "[0-9]*", "ss_sctp"))
	if err != nil {
		t.Fatal(err)
	}
	sorted := func(a []ssAssociation) []ssAssociation {
		slices.SortFunc(a, func(x, y ssAssociation) int { return cmp.Compare(x.Cookie+x.Tag, y.Cookie+y.Tag) })
		return a
	}
	n := 0
	for _, file := range files {
		ns := filepath.Base(filepath.Dir(file))
		var got []ssAssociation
		for _, s := range all {
			if fmt.Sprint(s.NetNS) != ns {
				continue
			}
			for _, a := range s.Associations {
				got = append(got, a.inSS(s))
			}
		}
		want := associationsOfSS(t, file)
		n += len(want)
		if diff := gocmp.Diff(sorted(want), sorted(got)); diff != "" {
			t.Errorf("associations of net:[%s] (-ss +got):\n%s", ns, diff)
		}
	}
	t.Logf("%d associations", n)
}
