package table

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type row struct {
	Name string    `json:"name" col:"NAME,flex"`
	Args []string  `json:"args" col:"ARGS,words"`
	Size int64     `json:"size" col:"SIZE,size"`
	At   time.Time `json:"at" col:"AT"`
	Age  Age       `json:"age" col:"AGE"`
	Odd  *uint32   `json:"odd" col:"ODD,wide"`

	group string
}

func (r row) Group() string { return r.group }

func rows() []row {
	odd := uint32(7)
	at := time.Date(2026, 11, 21, 4, 42, 32, 5, time.UTC)
	return []row{
		{Name: "b", Args: []string{"sh", "-c", "a b"}, Size: 12, At: at, Age: 196, Odd: &odd, group: "one"},
		{Name: "=1+1", Size: 20 << 20, Age: 90000, group: "one"},
		{Name: "-", group: "two"},
		{Name: "a\x1b[2J" + strings.Repeat("x", 30), group: "two"},
	}
}

func print(t *testing.T, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Print(&b, rows(), &o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	want := `NAME              ARGS           SIZE      AT                   AGE
one
b                 sh -c "a b"  12 bytes    2026-11-21 04:42:32  3m16s
=1+1              -              20 MiB    -                    1d1h
two
"-"               -             0 bytes    -                    0s
"a\x1b[2Jxxxxxx…  -             0 bytes    -                    0s
`
	got := print(t, Options{Format: Table, Width: 60})
	if squeeze(got) != squeeze(want) {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 67 { // the others can't be cut
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

// TestLongCell: without a terminal a long cell is whole, and no other row is as long for it.
func TestLongCell(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	var b bytes.Buffer
	if err := Print(&b, []row{{Name: "a"}, {Name: long}, {Name: "b"}}, &Options{}); err != nil {
		t.Fatal(err)
	}
	if n := b.Len() - len(long); n > 4*400 || !strings.Contains(b.String(), long+"  -") {
		t.Errorf("%d bytes beside the long cell", n)
	}
}

// squeeze makes one space of several.
func squeeze(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func TestSort(t *testing.T) {
	for by, want := range map[string]string{"name": "-,=1+1,a,b", "-SIZE": "=1+1,b,-,a", "at": "=1+1,-,a,b"} {
		var b bytes.Buffer
		if err := Print(&b, rows(), &Options{Format: JSONL, Sort: by}); err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(b.String()) {
			var r struct{ Name string }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			name, _, _ := strings.Cut(r.Name, "\x1b")
			names = append(names, name)
		}
		if got := strings.Join(names, ","); got != want {
			t.Errorf("%s: %s, want %s", by, got, want)
		}
	}
	if err := Check[row](&Options{Sort: "nosuch"}); !errors.Is(err, ErrColumn) {
		t.Error(err)
	}
}

func TestJSON(t *testing.T) {
	var got struct {
		Whole bool
		Rows  []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(print(t, Options{Format: JSON, Items: "rows", Head: struct {
		Whole bool `json:"whole"`
	}{true}})), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Whole || len(got.Rows) != 4 || got.Rows[1].Name != "=1+1" {
		t.Errorf("%+v", got)
	}
}

func TestCSV(t *testing.T) {
	records, err := csv.NewReader(strings.NewReader(print(t, Options{Format: CSV}))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"name", "args", "size", "at", "age", "odd"},
		{"b", `sh -c "a b"`, "12", "2026-11-21T04:42:32.000000005Z", "196", "7"},
		{"'=1+1", "", "20971520", "", "90000", ""}, {"'-", "", "0", "", "0", ""}, {`a\x1b[2J` + strings.Repeat("x", 30), "", "0", "", "0", ""},
	}
	if d := cmp.Diff(want, records); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAge(t *testing.T) {
	for age, want := range map[Age]string{0: "0s", 59: "59s", 60: "1m", 196: "3m16s", 3600: "1h", 90000: "1d1h", -5: "-5s", 400 * 86400: "1y35d"} {
		if got := age.String(); got != want {
			t.Errorf("%d: %s, want %s", age, got, want)
		}
	}
}

// level is a type whose zero is a value as the others are, and flags one whose zero is none.
type (
	level uint8
	flags uint8
)

func (l level) String() string { return [...]string{"emerg", "alert"}[l] }

func (f flags) String() string { return strings.Repeat("x", int(f)) }

type zeroRow struct {
	Level  level   `json:"level" col:"LEVEL"`
	Flags  flags   `json:"flags" col:"FLAGS"`
	PID    int32   `json:"pid" jsonx:"null" col:"PID"`
	Parent int32   `json:"parent" jsonx:"null=-1" col:"PARENT"`
	FD     int     `json:"fd" col:"FD"`
	UID    *uint32 `json:"uid" col:"UID"`
	PIDs   []int32 `json:"pids" col:"PIDS"`
}

// TestZero: a zero that is a value is shown, and one that JSON has as null is not.
func TestZero(t *testing.T) {
	rows := []zeroRow{{}, {1, 2, 3, -1, 4, new(uint32), nil}}
	for format, want := range map[Format]string{
		Table: "LEVEL FLAGS PID PARENT FD UID PIDS\nemerg - - 0 0 - -\nalert xx 3 - 4 0 -\n",
		CSV:   "level,flags,pid,parent,fd,uid,pids\nemerg,,,0,0,,\nalert,xx,3,,4,0,\n",
	} {
		var b bytes.Buffer
		if err := Print(&b, rows, &Options{Format: format}); err != nil {
			t.Fatal(err)
		}
		if got := squeeze(b.String()); squeeze(strings.ReplaceAll(got, " \n", "\n")) != want {
			t.Errorf("%s: got\n%s, want\n%s", format, got, want)
		}
	}
}

// TestSortNumbers: numbers are sorted by what they are, where they may be missing and in lists, too.
func TestSortNumbers(t *testing.T) {
	var rows []zeroRow
	for _, n := range []uint32{100, 9, 65532} {
		rows = append(rows, zeroRow{FD: int(n), UID: &n, PIDs: []int32{1, int32(n)}})
	}
	rows = append(rows, zeroRow{FD: -1}, zeroRow{FD: 1, UID: new(uint32), PIDs: []int32{1}})
	for _, by := range []string{"uid", "pids"} {
		sorted, err := sortRows(rows, columnsOf(reflect.TypeFor[zeroRow]()), by)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, r := range sorted {
			got = append(got, r.FD)
		}
		if d := cmp.Diff([]int{-1, 1, 9, 100, 65532}, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", by, d)
		}
	}
}
