package table

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nodelens/nodelens/internal/text"
)

// A Format is how rows are printed.
type Format string

// The formats.
const (
	Table Format = "table"
	Wide  Format = "wide" // a table with all columns
	JSON  Format = "json"
	JSONL Format = "jsonl" // an object of JSON on each line
	CSV   Format = "csv"
)

// Formats are all of them.
var Formats = []Format{Table, Wide, JSON, JSONL, CSV}

// Options are how rows are printed.
type Options struct {
	Format Format
	// Width is how many characters a line may have. 0: any number.
	Width int
	// Color has rows with a [Mark] stand out.
	Color bool
	// Sort names the column by which rows are sorted, by its heading or its member; - before it is the other way round.
	// Empty: they stay as they are.
	Sort string
	// Head is a structure whose members stand before the rows in JSON. Nil: there are none.
	Head any
	// Items is the member of JSON that has the rows.
	Items string
}

// A Mark says how much a row stands out.
type Mark int

// The marks.
const (
	Plain Mark = iota
	Faint
	Notice
	Alert
)

// A Marked row says how much it stands out on a terminal.
type Marked interface{ Mark() Mark }

// A Deep row is moved to the right in the column with the option tree, unless rows are sorted.
type Deep interface{ Depth() int }

// A Grouped row belongs to those before it as long as they have the same group: a line that is printed
// before them, unless rows are sorted.
type Grouped interface{ Group() string }

// ErrColumn is the reason for which rows can't be sorted.
var ErrColumn = errors.New("no such column")

// Print prints rows, of which T is the type.
func Print[T any](w io.Writer, rows []T, opts *Options) error {
	columns := columnsOf(reflect.TypeFor[T]())
	sorted, err := sortRows(rows, columns, opts.Sort)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	switch opts.Format {
	case JSON, JSONL:
		err = printJSON(out, sorted, opts)
	case CSV:
		err = printCSV(out, sorted, columns)
	default:
		printTable(out, sorted, columns, opts)
	}
	return errors.Join(err, out.Flush())
}

// Check reports what is wrong with Options.Sort for rows of type T.
func Check[T any](opts *Options) error {
	_, err := sortRows([]T{}, columnsOf(reflect.TypeFor[T]()), opts.Sort)
	return err
}

// A column is a field of a row.
type column struct {
	index                   []int
	heading                 string // of the table; empty: it is not in it
	member                  string
	wide, tree, flex, right bool
	how                     string // words, line or size; empty: as the type has it
	null                    bool   // the zero, or of numbers nullInt, is null
	nullInt                 int64
}

// columnsOf returns the columns of a type of rows.
func columnsOf(t reflect.Type) []column {
	var all []column
	for _, f := range reflect.VisibleFields(t) {
		member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || member == "" || member == "-" || f.Type.Kind() == reflect.Struct && f.Type != timeType {
			continue
		}
		options := strings.Split(f.Tag.Get("col"), ",")
		c := column{index: f.Index, member: member, heading: options[0], right: isNumber(f.Type)}
		c.null, c.nullInt = nullOf(f.Tag.Get("jsonx"))
		for _, o := range options[1:] {
			switch o {
			case "wide":
				c.wide = true
			case "tree":
				c.tree = true
			case "flex":
				c.flex = true
			default:
				c.how = o
			}
		}
		all = append(all, c)
	}
	return all
}

// nullOf returns whether the zero, or of numbers another, is null by a tag jsonx, which package jsonx checks.
func nullOf(tag string) (null bool, nullInt int64) {
	for o := range strings.SplitSeq(tag, ",") {
		if value, ok := strings.CutPrefix(o, "null="); ok {
			nullInt, _ = strconv.ParseInt(value, 10, 64)
			null = true
		}
		null = null || o == "null"
	}
	return null, nullInt
}

// printTable prints the columns of a table, each as wide as it has to be.
func printTable[T any](w *bufio.Writer, rows []T, columns []column, opts *Options) {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return c.heading == "" || c.wide && opts.Format != Wide })
	cells := make([][]string, len(rows)+1)
	for _, c := range columns {
		cells[0] = append(cells[0], c.heading)
	}
	for i := range rows {
		cells[i+1] = rowCells(reflect.ValueOf(&rows[i]).Elem(), columns, opts.Sort != "")
	}
	widths := fit(cells, columns, opts.Width)
	cut := opts.Width > 0
	printRow(w, cells[0], columns, widths, cut, style(Heading, opts.Color))
	group := ""
	for i := range rows {
		if g, ok := any(rows[i]).(Grouped); ok && opts.Sort == "" && g.Group() != group {
			group = g.Group()
			fmt.Fprintf(w, "%s\n", paint(short(group, opts.Width), style(Heading, opts.Color)))
		}
		mark := Plain
		if m, ok := any(rows[i]).(Marked); ok {
			mark = m.Mark()
		}
		printRow(w, cells[i+1], columns, widths, cut, style(mark, opts.Color))
	}
}

// short cuts a line to a width, if there is one.
func short(s string, width int) string {
	if width == 0 {
		return s
	}
	return text.Short(s, width)
}

// rowCells returns the texts of a row.
func rowCells(row reflect.Value, columns []column, flat bool) []string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.text(row.FieldByIndex(c.index))
		if d, ok := reflect.TypeAssert[Deep](row); ok && c.tree && !flat {
			cells[i] = strings.Repeat("  ", min(d.Depth(), maxDepth)) + cells[i]
		}
	}
	return cells
}

// maxDepth keeps deep trees, which hostile processes can make, from running off.
const maxDepth = 40

// leastFlex is how narrow a column may become that is cut.
const leastFlex = 16

// mostPad is how wide a column may be without a terminal. A longer cell stands as it is, and has what is behind it in its row
// stand further on: else one process with long arguments would have each row padded to their length.
const mostPad = 256

// fit returns the widths of columns, in characters. Those that may be cut give way, the widest first, where all
// together are wider than a line.
func fit(cells [][]string, columns []column, width int) []int {
	widths := make([]int, len(columns))
	for _, row := range cells {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if width == 0 {
		for i := range widths {
			widths[i] = min(widths[i], mostPad)
		}
		return widths
	}
	sum := gap * (len(widths) - 1)
	for _, n := range widths {
		sum += n
	}
	for ; sum > width; sum-- {
		widest := -1
		for i, c := range columns {
			if c.flex && widths[i] > leastFlex && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// gap is how many spaces are between columns.
const gap = 2

func printRow(w *bufio.Writer, cells []string, columns []column, widths []int, cut bool, sgr string) {
	var line strings.Builder
	for i, cell := range cells {
		if cut {
			cell = text.Short(cell, max(1, widths[i]))
		}
		pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
		if columns[i].right {
			cell, pad = pad+cell, ""
		}
		if i > 0 {
			line.WriteString(strings.Repeat(" ", gap))
		}
		line.WriteString(cell)
		line.WriteString(pad)
	}
	fmt.Fprintf(w, "%s\n", paint(strings.TrimRight(line.String(), " "), sgr))
}
