package keys_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/keys"
)

func load(t *testing.T, dir string) *keys.Set {
	t.Helper()
	set, err := keys.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func public(t *testing.T, kp nkeys.KeyPair) string {
	t.Helper()
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func TestLoadMakesEachKeyOfItsKindForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	set := load(t, dir)

	for name, kind := range map[string]struct {
		pair   nkeys.KeyPair
		prefix string
	}{
		"service.nk":  {set.Service, "U"},
		"operator.nk": {set.Operator, "U"},
		"system.nk":   {set.System, "U"},
		"issuer.nk":   {set.Issuer, "A"},
		"xkey.nk":     {set.XKey, "X"},
	} {
		if pub := public(t, kind.pair); !strings.HasPrefix(pub, kind.prefix) {
			t.Errorf("%s: public key %s, want one that starts with %s", name, pub, kind.prefix)
		}
	}
	if len(set.TokenSecret) < keys.MinTokenSecretBytes {
		t.Errorf("token secret has %d bytes", len(set.TokenSecret))
	}
	wantMode(t, keys.Dir(dir), 0o700)
	entries, err := os.ReadDir(keys.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 6 {
		t.Errorf("%d files, want 6: %v", len(entries), entries)
	}
	for _, e := range entries {
		wantMode(t, filepath.Join(keys.Dir(dir), e.Name()), 0o600)
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s: mode %04o, want %04o", path, got, want)
	}
}

func TestLoadAgainGivesTheSameKeys(t *testing.T) {
	dir := t.TempDir()
	first, second := load(t, dir), load(t, dir)
	for name, pair := range map[string][2]nkeys.KeyPair{
		"service":  {first.Service, second.Service},
		"operator": {first.Operator, second.Operator},
		"system":   {first.System, second.System},
		"issuer":   {first.Issuer, second.Issuer},
		"xkey":     {first.XKey, second.XKey},
	} {
		if public(t, pair[0]) != public(t, pair[1]) {
			t.Errorf("%s changed between two loads", name)
		}
	}
	if string(first.TokenSecret) != string(second.TokenSecret) {
		t.Error("token secret changed between two loads")
	}
}

func TestLoadRefusesAndKeepsABadFile(t *testing.T) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, text string
		mode             fs.FileMode
		want             string
	}{
		{"a key that everybody may read", "service.nk", "", 0o644, "chmod 600"},
		{"a secret that everybody may write", "token.secret", strings.Repeat("s", 40), 0o602, "chmod 600"},
		{"an empty key", "operator.nk", "", 0o600, "no nkey seed"},
		{"a broken key", "issuer.nk", "SUAnonsense", 0o600, "no nkey seed"},
		{"an account key where a user key belongs", "system.nk", string(accountSeed), 0o600, "kind account, it must be of kind user"},
		{"a short secret", "token.secret", "hunter2", 0o600, "too short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(keys.Dir(dir), 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(keys.Dir(dir), c.file)
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := keys.Load(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error %v, want one with %q and the path", err, c.want)
			}
			if c.text != "" && strings.Contains(err.Error(), c.text) {
				t.Fatalf("error shows the secret: %v", err)
			}
			if after, _ := os.ReadFile(path); string(after) != c.text {
				t.Error("the file was changed")
			}
		})
	}
}

func TestReadersFindWhatLoadMade(t *testing.T) {
	dir := t.TempDir()
	set := load(t, dir)
	operator, err := keys.ReadOperator(dir)
	if err != nil {
		t.Fatal(err)
	}
	if public(t, operator) != public(t, set.Operator) {
		t.Error("another operator key")
	}
	secret, err := keys.ReadTokenSecret(dir)
	if err != nil {
		t.Fatal(err)
	}
	if string(secret) != string(set.TokenSecret) {
		t.Error("another token secret")
	}
}

func TestReadersWithoutKeysSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	_, operatorErr := keys.ReadOperator(dir)
	_, secretErr := keys.ReadTokenSecret(dir)
	for file, err := range map[string]error{"operator.nk": operatorErr, "token.secret": secretErr} {
		want := "there is no " + filepath.Join(dir, "keys", file) + ": a start of `statuswire serve --data " + dir + "` makes it"
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
		var missing *keys.MissingError
		if !errors.As(err, &missing) || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v is no MissingError of os.ErrNotExist", err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("reading made %v", entries)
	}
}

// What is checked must be what is read: the check of a path says nothing of the
// file that a second look at the path finds.
func TestAFileThatTakesThePlaceOfTheCheckedOneIsNotRead(t *testing.T) {
	dir := t.TempDir()
	good, bad, path := filepath.Join(dir, "good"), filepath.Join(dir, "bad"), filepath.Join(dir, "token.secret")
	for file, mode := range map[string]fs.FileMode{good: 0o600, bad: 0o644} {
		if err := os.WriteFile(file, []byte(filepath.Base(file)), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	point := func(to string) {
		link := filepath.Join(dir, "link")
		if err := errors.Join(os.Symlink(to, link), os.Rename(link, path)); err != nil {
			t.Error(err)
		}
	}
	point(good)
	done := make(chan struct{})
	var flipping sync.WaitGroup
	defer flipping.Wait()
	defer close(done)
	flipping.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				point([]string{bad, good}[i%2])
			}
		}
	})
	read, refused := 0, 0
	for read+refused < 20_000 || read == 0 || refused == 0 {
		text, err := keys.ReadSecretFile(path)
		var open *keys.OpenError
		switch {
		case err == nil && string(text) != "good":
			t.Fatalf("read %q, which was not what was checked", text)
		case err == nil:
			read++
		case errors.As(err, &open):
			refused++
		default:
			t.Fatal(err)
		}
	}
}

func TestAFolderInWhichEverybodyMayReplaceTheKeysIsRefused(t *testing.T) {
	dir := t.TempDir()
	load(t, dir)
	if err := os.Chmod(keys.Dir(dir), 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := keys.Load(dir)
	var open *keys.OpenError
	if !errors.As(err, &open) || !strings.Contains(err.Error(), "chmod 700 "+keys.Dir(dir)) {
		t.Errorf("error %v, want an OpenError that says chmod 700", err)
	}
	if err := os.Chmod(keys.Dir(dir), 0o777|fs.ModeSticky); err != nil { // as Kubernetes mounts a secret
		t.Fatal(err)
	}
	load(t, dir)
}

func TestWhatIsNoFileWithASecretIsRefused(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long")
	if err := os.WriteFile(long, make([]byte, keys.MaxSecretFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                          "no regular file",
		long:                         "is longer than",
		filepath.Join(dir, "nobody"): "no such file",
	} {
		if _, err := keys.ReadSecretFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", path, err, want)
		}
	}
}

func TestAFileThatIsThereIsNotOverwrittenByANewKey(t *testing.T) {
	dir := t.TempDir()
	made, err := keys.MakeNamed(dir, "ci")
	if err != nil {
		t.Fatal(err)
	}
	wantMode(t, keys.NamedFile(dir, "ci"), 0o600)
	if _, err := keys.MakeNamed(dir, "ci"); !errors.Is(err, os.ErrExist) {
		t.Errorf("made again: %v, want ErrExist", err)
	}
	read, err := keys.ReadNamed(dir, "ci")
	if err != nil {
		t.Fatal(err)
	}
	if public(t, read) != public(t, made) {
		t.Error("another key than was made")
	}
	if err := os.Chmod(keys.NamedFile(dir, "ci"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.ReadNamed(dir, "ci"); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("one that everybody may read: %v", err)
	}
}
