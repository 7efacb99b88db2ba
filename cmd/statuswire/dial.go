package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

// dialTimeout is how long the server may take to greet.
const dialTimeout = 5 * time.Second

// errNotAllowed is a request that the server has not let through.
var errNotAllowed = errors.New("the key may not do that")

// caller is a connection of the command line.
type caller struct {
	nc      *nats.Conn
	client  *admin.Client
	key     string
	refused atomic.Pointer[error] // what the server did not let through
}

// dial connects to the server that runs with the data folder, with the key of that
// name in it. The caller closes the connection.
func dial(dataDir, key string) (*caller, error) {
	endpoints, err := readEndpoints(dataDir)
	if err != nil {
		return nil, err
	}
	pair, inbox, err := readKey(dataDir, key)
	if err != nil {
		return nil, err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, err
	}
	c := &caller{key: key}
	nc, err := nats.Connect(endpoints.NATS,
		nats.Name("statuswire command line"),
		nats.Nkey(public, pair.Sign),
		nats.CustomInboxPrefix(inbox),
		nats.Timeout(dialTimeout),
		nats.ErrorHandler(c.failed),
		nats.NoReconnect())
	switch {
	case err == nil:
		c.nc, c.client = nc, admin.NewClient(nc, key)
		return c, nil
	case errors.Is(err, nats.ErrAuthorization):
		return nil, fmt.Errorf("the server at %s does not know the key in %s: it has ended, or the server runs with another data folder, which --data names",
			endpoints.NATS, keys.NamedFile(dataDir, key))
	}
	return nil, fmt.Errorf("the server of %s does not answer at %s (%w): start `statuswire serve --data %s`",
		dataDir, endpoints.NATS, err, dataDir)
}

// readKey returns the key and the prefix of its inboxes.
func readKey(dataDir, key string) (pair nkeys.KeyPair, inbox string, err error) {
	if key == admin.OperatorName {
		pair, err = keys.ReadOperator(dataDir)
		return pair, status.InboxOperator, err
	}
	name, err := keyring.ParseName(key)
	if err != nil {
		return nil, "", &usageError{fmt.Sprintf("--as: %v", err)}
	}
	pair, err = keys.ReadNamed(dataDir, key)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no %s: `statuswire key create %s` makes one, `statuswire key list` shows what there is", keys.NamedFile(dataDir, key), key)
	}
	return pair, name.InboxPrefix(), err
}

// failed hears of what the server refuses, which it does not answer: without it a
// request that is not allowed waits in vain.
func (c *caller) failed(nc *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		c.refused.CompareAndSwap(nil, &err)
		nc.Close()
	}
}

// explained is err, or what the server refused when that is why.
func (c *caller) explained(err error) error {
	refused := c.refused.Load()
	if err == nil || refused == nil || errors.Is(err, errNotAllowed) {
		return err
	}
	return fmt.Errorf("%w: %s (%w)", errNotAllowed, c.key, *refused)
}

// readEndpoints says where the server of the data folder listens.
func readEndpoints(dataDir string) (app.Endpoints, error) {
	var e app.Endpoints
	file := filepath.Join(dataDir, app.EndpointsFile)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return e, fmt.Errorf("no server runs with the data folder %s (there is no %s): start `statuswire serve --data %s`, or name the right folder with --data",
			dataDir, file, dataDir)
	}
	if err != nil {
		return e, fmt.Errorf("cannot tell where the server listens: %w", err)
	}
	if err := json.Unmarshal(data, &e); err != nil || e.NATS == "" {
		return e, fmt.Errorf("%s does not say where the server listens: restart the server to have it written anew", file)
	}
	return e, nil
}
