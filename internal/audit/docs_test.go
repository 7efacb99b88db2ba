package audit_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/statuswire/statuswire/internal/audit"
)

// TestThePageHasEveryKindAndField holds the tables of docs/audit.md.
func TestThePageHasEveryKindAndField(t *testing.T) {
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, k := range append(audit.Kinds(), audit.AdminKinds()...) {
		want = append(want, string(k))
	}
	for f := range reflect.TypeFor[audit.Record]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		want = append(want, name)
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("audit.md has\n%v\nthe code has\n%v", got, want)
	}
}
