package cos

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Arguments have no secrets in them unless these are shown; what is or would be hidden is told.
func TestSealArguments(t *testing.T) {
	t.Parallel()
	args := []string{"x", "--password=abc", "ab token: abc"}
	for _, tt := range []struct {
		show bool
		want []string
	}{{false, []string{"x", "--password=[hidden]", "ab token: [hidden]"}}, {true, args}} {
		s := &sealer{key: []byte("k"), show: tt.show}
		got, found := s.args(args, nil)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(found) != 2 || found[0].Arg != 1 || found[0].Name != "password" || found[1].Arg != 2 || found[1].Digest != found[0].Digest || (found[0].Value != nil) != tt.show {
			t.Errorf("%+v", found)
		}
	}
}

// Settings are shown but for those that may be secrets.
func TestSealSettings(t *testing.T) {
	t.Parallel()
	s := &sealer{key: []byte("k")}
	for name, value := range map[string]string{"a": "1", "net.ipv4.ip_forward": "1", "owner/token-ttl": "5"} {
		if got := s.setting(name, value); got.Value == nil || *got.Value != value || got.Digest != "" || got.Name != name {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, value := range map[string]string{
		"net.ipv6.conf.all.stable_secret": "::1", "net.ipv4.tcp_fastopen_key": "0-0", "owner/api-token": "x", "note": "db://u:pw@h", "kubectl.kubernetes.io/last-applied-configuration": "{}",
	} {
		if got := s.setting(name, value); got.Value != nil || got.Digest == "" || got.Length != len(value) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
