package nodetest

import (
	"fmt"
	"reflect"
	"time"
)

// Canaries are names that do harm where they get out of text: into markup, scripts, addresses, or what a reader sees.
var Canaries = []string{
	`<script>window.canary=1</script>`, `"><img src=x onerror="window.canary=2">`, `'onfocus='window.canary=3`, `javascript:window.canary=4`,
	`</script><script>window.canary=5</script>`, `<!--<script>`, `]]><svg/onload=window.canary=6>`, "\u2028window.canary=7\u2029", "\u202egnp.exe\u2066", "\x1b[31mred\x00",
	`{{.Hostname}}${window.canary=8}`, `=HYPERLINK("http://canary.invalid/9")`, `</title><meta http-equiv=refresh content="0;url=http://canary.invalid/10">`,
	"\xff\xfe\xed\xa0\x80", `</textarea></noscript><base href="http://canary.invalid/">`, `__proto__`, `constructor`, `url(http://canary.invalid/11)`,
}

// Poison puts a canary into every text that v, a pointer, leads to, a different one into each. What says of a text which other it
// belongs to still does: the same text gets the same canary. It returns how many texts there were.
func Poison(v any) int {
	p := poisoner{was: map[string]string{}}
	p.value(reflect.ValueOf(v))
	return p.n
}

type poisoner struct {
	was map[string]string
	n   int
}

var timeType = reflect.TypeFor[time.Time]()

func (p *poisoner) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && (v.Kind() == reflect.Pointer) {
			p.value(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				p.value(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			p.value(v.Index(i))
		}
	case reflect.Map:
		p.dict(v)
	case reflect.String:
		if v.CanSet() {
			v.SetString(p.text(v.String()))
		}
	}
}

// dict poisons the values of a map, and its keys.
func (p *poisoner) dict(v reflect.Value) {
	if v.IsNil() || v.Type().Key().Kind() != reflect.String {
		return
	}
	out := reflect.MakeMap(v.Type())
	for it := v.MapRange(); it.Next(); {
		value := reflect.New(v.Type().Elem()).Elem()
		value.Set(it.Value())
		p.value(value)
		out.SetMapIndex(reflect.ValueOf(p.text(it.Key().String())).Convert(v.Type().Key()), value)
	}
	if v.CanSet() {
		v.Set(out)
	}
}

func (p *poisoner) text(s string) string {
	p.n++
	if known, ok := p.was[s]; ok {
		return known
	}
	out := fmt.Sprintf("%s%s", s, Canaries[len(p.was)%len(Canaries)])
	p.was[s] = out
	return out
}
