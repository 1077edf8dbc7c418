package record

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// names lists the fields of a record as its lines have them.
func names(t reflect.Type, prefix string) []string {
	var all []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if f := t.Field(i).Type; f.Kind() == reflect.Struct && f != reflect.TypeFor[time.Time]() {
			all = append(all, names(f, prefix+name+".")...)
			continue
		}
		all = append(all, prefix+name)
	}
	return all
}

func TestDocumentationIsComplete(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "call-records.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\|").FindAllSubmatch(text, -1) {
		documented[string(m[1])] = true
	}
	for _, name := range names(reflect.TypeFor[Record](), "") {
		if !documented[name] {
			t.Errorf("docs/call-records.md does not describe %s", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/call-records.md describes %s, which is no field", name)
	}
	for _, word := range []string{string(KindIncoming), string(KindOutgoing), string(KindDirect), string(KindSelfTest), string(SideClient), string(SidePeer), string(SideSelf), string(SideOperator)} {
		if !strings.Contains(string(text), "`"+word+"`") {
			t.Errorf("docs/call-records.md does not say what %q means", word)
		}
	}
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(text)
	if example == nil {
		t.Fatal("docs/call-records.md has no example")
	}
	d := json.NewDecoder(strings.NewReader(string(example[1])))
	d.DisallowUnknownFields()
	if err := d.Decode(&Record{}); err != nil {
		t.Errorf("the example: %v", err)
	}
}

func TestFieldsThatDoNotApplyAreLeftOut(t *testing.T) {
	line, err := json.Marshal(Record{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"connected", "errors", "user", "speed_in", "q931", "line"} {
		if strings.Contains(string(line), `"`+absent+`"`) {
			t.Errorf("%s stands in %s", absent, line)
		}
	}
}

func TestAddressText(t *testing.T) {
	for a, want := range map[netip.Addr]string{{}: "", netip.MustParseAddr("192.0.2.1"): "192.0.2.1", netip.MustParseAddr("::ffff:192.0.2.1"): "192.0.2.1"} {
		if got := AddressText(a); got != want {
			t.Errorf("%v: %q", a, got)
		}
	}
}
