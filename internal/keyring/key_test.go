package keyring_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/status"
)

func TestNamesThatCouldBeSomebodyElseAreRefused(t *testing.T) {
	for _, name := range []string{"ci", "a", "indexer-2", "a_b", strings.Repeat("a", 32)} {
		if _, err := keyring.ParseName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "A", "Ci", "2a", "-a", "_a", "a.b", "a b", "a*", ">", "a>", "é", "a\n", "../a", "a/b", strings.Repeat("a", 33),
		"operator", "service", "system", "viewer", "issuer", "xkey", "token", "unknown", "server", "statuswire",
	} {
		if _, err := keyring.ParseName(name); !errors.Is(err, keyring.ErrInvalid) {
			t.Errorf("%q: error %v, want ErrInvalid", name, err)
		}
	}
}

func TestAKeyThatBreaksARuleIsInvalid(t *testing.T) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountKey, err := account.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	good := keyring.Key{Name: "ci", Role: keyring.RoleService, Categories: []status.Category{"engine", "tool"}, Public: public(t), Created: time.Now()}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*keyring.Key){
		"no name":                      func(k *keyring.Key) { k.Name = "" },
		"no role":                      func(k *keyring.Key) { k.Role = "" },
		"another role":                 func(k *keyring.Key) { k.Role = "admin" },
		"no public key":                func(k *keyring.Key) { k.Public = "" },
		"an account's public key":      func(k *keyring.Key) { k.Public = accountKey },
		"a public key that is cut":     func(k *keyring.Key) { k.Public = k.Public[:50] },
		"a category that is none":      func(k *keyring.Key) { k.Categories = []status.Category{"*"} },
		"a category twice":             func(k *keyring.Key) { k.Categories = []status.Category{"tool", "tool"} },
		"a viewer with a category":     func(k *keyring.Key) { k.Role = keyring.RoleViewer },
		"an operator with a category":  func(k *keyring.Key) { k.Role = keyring.RoleOperator },
		"too many categories":          func(k *keyring.Key) { k.Categories = make([]status.Category, keyring.MaxCategories+1) },
		"a year that RFC 3339 has not": func(k *keyring.Key) { k.Created = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		k := good
		change(&k)
		if err := k.Validate(); !errors.Is(err, keyring.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
}

// What a key may do must not hang on how a reader takes a field that is there
// twice, or in capitals.
func TestOnlyWhatIsWrittenHereIsRead(t *testing.T) {
	p := public(t)
	const created = `"created":"2024-01-19T12:00:00Z"`
	good := `{"name":"ci","role":"service","categories":["engine"],"public":"` + p + `",` + created + `}`
	if _, err := keyring.Decode("ci", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for what, value := range map[string]string{
		"another name":           strings.Replace(good, `"ci"`, `"cd"`, 1),
		"a role twice":           strings.Replace(good, `"role":"service"`, `"role":"operator","role":"service"`, 1),
		"a role in capitals":     strings.Replace(good, `"role"`, `"Role"`, 1),
		"a field that is none":   strings.Replace(good, `{`, `{"admin":true,`, 1),
		"categories unsorted":    strings.Replace(good, `["engine"]`, `["tool","engine"]`, 1),
		"categories that is []":  strings.Replace(good, `["engine"]`, `[]`, 1),
		"something after it":     good + ` {}`,
		"white space":            " " + good,
		"a time of another zone": strings.Replace(good, `12:00:00Z`, `13:00:00+01:00`, 1),
		"nothing":                "",
		"a list":                 "[" + good + "]",
	} {
		if k, err := keyring.Decode("ci", []byte(value)); err == nil {
			t.Errorf("%s: it is read as %+v", what, k)
		} else if strings.Contains(err.Error(), p) {
			t.Errorf("%s: the error quotes the value: %v", what, err)
		}
	}
}

// Whatever lies in the bucket: what counts as a key keeps every rule, has its name,
// and is written again as it was.
func FuzzDecode(f *testing.F) {
	const p = "UAJXYLQZK4KMPRGZMEOY6S3FRBOOKTXTXOTQLZ4D3IBA4IEJCPFQZS4L"
	f.Add("ci", []byte(`{"name":"ci","role":"viewer","public":"`+p+`","created":"2024-01-19T12:00:00Z"}`))
	f.Add("ci", []byte(`{"name":"ci","role":"service","categories":["engine"],"public":"`+p+`","created":"2024-01-19T12:00:00.123Z"}`))
	f.Add("operator", []byte(`{"name":"operator","role":"operator"}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		k, err := keyring.Decode(name, data)
		if err != nil {
			return
		}
		if string(k.Name) != name || k.Validate() != nil {
			t.Fatalf("%q holds %+v", name, k)
		}
		again, err := keyring.Encode(k)
		if err != nil || !bytes.Equal(again, data) || !json.Valid(data) {
			t.Fatalf("%q is written as %q, %v", data, again, err)
		}
	})
}
