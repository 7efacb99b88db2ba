package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
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
// are 0600. What is there is replaced. Contexts of other keys in DIR/keys get the
// url; the rest of them stays as it is.
func WriteContexts(dataDir, url string) error {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return fmt.Errorf("cannot write the contexts of the nats CLI: %w", err)
	}
	contexts := map[string]cliContext{
		"service":  {"Statuswire: publish statuses", url, keys.ServiceFile(dir), status.ReplyDefault},
		"operator": {"Statuswire: look inside, administer", url, keys.OperatorFile(dir), status.InboxOperator},
		"system":   {"Statuswire: reports of the NATS server", url, keys.SystemFile(dir), status.InboxSystem},
	}
	for name, c := range contexts {
		if err := writeContext(dir, name, c); err != nil {
			return err
		}
	}
	if err := replaceFile(filepath.Join(dir, "nats", "context.txt"), []byte("operator")); err != nil {
		return fmt.Errorf("cannot select a context of the nats CLI: %w", err)
	}
	return refreshContexts(dir, url, contexts)
}

// ContextFile is the path of a context of the nats CLI below the data folder.
func ContextFile(dataDir, name string) string {
	return filepath.Join(dataDir, "nats", "context", name+".json")
}

// WriteNamedContext writes the context of a named key below the data folder: its
// seed is keys.NamedFile.
func WriteNamedContext(dataDir, url, name, description, inboxPrefix string) error {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return fmt.Errorf("cannot write the context %s of the nats CLI: %w", name, err)
	}
	return writeContext(dir, name, cliContext{description, url, keys.NamedFile(dir, name), inboxPrefix})
}

func writeContext(dir, name string, c any) error {
	path := ContextFile(dir, name)
	text, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = replaceFile(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("cannot write the context %s of the nats CLI: %w", name, err)
	}
	return nil
}

// refreshContexts gives the url to the other contexts whose key is in DIR/keys: the
// server may listen elsewhere than when they were written.
func refreshContexts(dir, url string, but map[string]cliContext) error {
	files, err := filepath.Glob(ContextFile(dir, "*"))
	if err != nil {
		return fmt.Errorf("cannot look for contexts of the nats CLI: %w", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if _, there := but[name]; there {
			continue
		}
		var c map[string]any
		text, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(text, &c) != nil {
			continue // somebody else's
		}
		if key, ok := c["nkey"].(string); !ok || filepath.Dir(key) != keys.Dir(dir) || c["url"] == url {
			continue
		}
		c["url"] = url
		if err := writeContext(dir, name, c); err != nil {
			return err
		}
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
