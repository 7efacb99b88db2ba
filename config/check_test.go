package config_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/config"
)

// Each file says what to replace in the shipped nats.conf, with what, and what
// the check then says.
func TestBadNATSConf(t *testing.T) {
	files, err := filepath.Glob("testdata/bad-nats/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad configurations found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) != 3 {
				t.Fatalf("%s has %d parts, want replace, with, want", file, len(archive.Files))
			}
			old, with, want := &archive.Files[0], &archive.Files[1], &archive.Files[2]
			shipped := string(statuswire.DefaultNATSConfig())
			faulty := strings.Replace(shipped, trim(old.Data), trim(with.Data), 1)
			if faulty == shipped {
				t.Fatalf("nats.conf has no %q", trim(old.Data))
			}
			dir := t.TempDir()
			write(t, filepath.Join(dir, "nats.conf"), faulty)
			_, err = config.Load(config.Files{NATS: filepath.Join(dir, "nats.conf")}, nil)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.ReplaceAll(err.Error(), dir+"/", "") + "\n"
			for line := range strings.Lines(got) {
				if !strings.HasPrefix(line, "nats.conf:") {
					t.Errorf("a line does not begin with the file: %q", line)
				}
			}
			want.Data = []byte(got)
			golden(t, file, string(txtar.Format(archive)))
		})
	}
}

// trim takes the line break off that ends every part of a txtar file.
func trim(part []byte) string { return strings.TrimSuffix(string(part), "\n") }

func TestTheShippedFilesAreRight(t *testing.T) {
	if _, err := config.Load(config.Files{Statuswire: "../statuswire.conf", NATS: "../nats.conf"}, nil); err != nil {
		t.Error(err)
	}
}

func TestACheckReportsBothFiles(t *testing.T) {
	dir := t.TempDir()
	ours, nats := filepath.Join(dir, "statuswire.conf"), filepath.Join(dir, "nats.conf")
	write(t, ours, "links: open\n")
	write(t, nats, strings.Replace(string(statuswire.DefaultNATSConfig()), "proxy_protocol: true", "", 1))
	_, err := config.Load(config.Files{Statuswire: ours, NATS: nats}, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{ours + ":1: links", nats + ": proxy_protocol"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not have %q:\n%v", want, err)
		}
	}
}

func TestNativeWebSocketAllowsTheBlock(t *testing.T) {
	dir := t.TempDir()
	ours, nats := filepath.Join(dir, "statuswire.conf"), filepath.Join(dir, "nats.conf")
	write(t, ours, "native_websocket: true\n")
	write(t, nats, string(statuswire.DefaultNATSConfig())+"\nwebsocket { listen: \"127.0.0.1:8443\", no_tls: true }\n")
	if _, err := config.Load(config.Files{Statuswire: ours, NATS: nats}, nil); err != nil {
		t.Error(err)
	}
}

func TestAUserWhomTheCalloutDeniesIsAWarning(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nats.conf")
	write(t, file, strings.Replace(string(statuswire.DefaultNATSConfig()),
		"      # The gateway forwards", "      { user: svc, password: secret }\n      # The gateway forwards", 1))
	var warnings strings.Builder
	if _, err := config.Load(config.Files{NATS: file}, slog.New(slog.NewTextHandler(&warnings, nil))); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(warnings.String(), "user=svc") || strings.Contains(warnings.String(), "password") {
		t.Errorf("warnings: %s", warnings.String())
	}
}
