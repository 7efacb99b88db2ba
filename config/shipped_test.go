package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/conf"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/config"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/mark"
)

func TestTheShippedFileSaysWhatIsSoWithoutIt(t *testing.T) {
	o, err := config.Parse("statuswire.conf", statuswire.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	defaults := app.Options{
		HTTP:         app.DefaultHTTP,
		Metrics:      app.DefaultMetrics,
		DrainTimeout: app.DefaultDrainTimeout,
		Engine:       engine.DefaultOptions(),
		Callout:      authcallout.DefaultOptions(),
		Gateway:      gateway.DefaultOptions(),
		Marks:        mark.DefaultOptions(),
		Fanout:       fanout.DefaultOptions(),
	}
	sameWhereSet(t, "Options", reflect.ValueOf(o), reflect.ValueOf(defaults))
}

// sameWhereSet compares what is not zero in got, since zero means the default.
func sameWhereSet(t *testing.T, path string, got, want reflect.Value) {
	t.Helper()
	if got.Kind() == reflect.Struct {
		for i := range got.NumField() {
			sameWhereSet(t, path+"."+got.Type().Field(i).Name, got.Field(i), want.Field(i))
		}
		return
	}
	empty := got.IsZero() || got.Kind() == reflect.Slice && got.Len() == 0
	if !empty && !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Errorf("%s is %v by the file, %v without it", path, got, want)
	}
}

func TestTheShippedFileHasEverySetting(t *testing.T) {
	m, err := conf.Parse(string(statuswire.DefaultConfig()))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys() {
		var at any = m
		for name := range strings.SplitSeq(key, ".") {
			block, _ := at.(map[string]any)
			at = block[name]
		}
		if at == nil {
			t.Errorf("statuswire.conf does not have %s", key)
		}
	}
}
