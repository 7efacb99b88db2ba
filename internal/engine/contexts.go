package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/statuswire/statuswire/internal/keys"
)

// cliContext is a connection as the nats CLI keeps it (github.com/nats-io/jsm.go
// v0.5.0, natscontext); what is left out has the CLI's default.
type cliContext struct {
	Description string `json:"description"`
	URL         string `json:"url"`
	NKey        string `json:"nkey"` // path of the seed
	InboxPrefix string `json:"inbox_prefix,omitempty"`
}

// WriteContexts writes the connections service, operator and system for the nats
// CLI below the data folder, and selects operator, so that
//
//	XDG_CONFIG_HOME=DIR nats --context service pub status.demo.engine '{"text":"hi"}'
//
// works. url is the engine's ClientURL. The files hold paths of keys, not keys, and
// are 0600. What is there is replaced.
func WriteContexts(dataDir, url string) error {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return fmt.Errorf("cannot write the contexts of the nats CLI: %w", err)
	}
	contexts := map[string]cliContext{
		"service":  {"Statuswire: publish statuses", url, keys.ServiceFile(dir), ""},
		"operator": {"Statuswire: look inside, administer", url, keys.OperatorFile(dir), "_INBOX_operator"},
		"system":   {"Statuswire: reports of the NATS server", url, keys.SystemFile(dir), ""},
	}
	root := filepath.Join(dir, "nats")
	if err := os.MkdirAll(filepath.Join(root, "context"), 0o700); err != nil {
		return fmt.Errorf("cannot write the contexts of the nats CLI: %w", err)
	}
	for name, c := range contexts {
		text, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			return fmt.Errorf("cannot write the context %s of the nats CLI: %w", name, err)
		}
		if err := replaceFile(filepath.Join(root, "context", name+".json"), append(text, '\n')); err != nil {
			return fmt.Errorf("cannot write the context %s of the nats CLI: %w", name, err)
		}
	}
	if err := replaceFile(filepath.Join(root, "context.txt"), []byte("operator")); err != nil {
		return fmt.Errorf("cannot select a context of the nats CLI: %w", err)
	}
	return nil
}

// replaceFile writes the file in one step, 0600.
func replaceFile(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed, as it should
	_, err = tmp.Write(text)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}
