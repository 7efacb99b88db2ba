package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/internal/keys"
)

// dialTimeout is how long the server may take to greet.
const dialTimeout = 5 * time.Second

// dial connects to the server that runs with the data folder, with the
// operator's key of that folder. The caller closes the connection.
func dial(dataDir string) (*nats.Conn, *admin.Client, error) {
	endpoints, err := readEndpoints(dataDir)
	if err != nil {
		return nil, nil, err
	}
	operator, err := keys.ReadOperator(dataDir)
	if err != nil {
		return nil, nil, err
	}
	public, err := operator.PublicKey()
	if err != nil {
		return nil, nil, err
	}
	nc, err := nats.Connect(endpoints.NATS,
		nats.Name("statuswire command line"),
		nats.Nkey(public, operator.Sign),
		nats.CustomInboxPrefix("_INBOX_operator"),
		nats.Timeout(dialTimeout),
		nats.NoReconnect())
	switch {
	case err == nil:
		return nc, admin.NewClient(nc), nil
	case errors.Is(err, nats.ErrAuthorization):
		return nil, nil, fmt.Errorf("the server at %s does not know the key in %s: it runs with another data folder, name it with --data",
			endpoints.NATS, keys.OperatorFile(dataDir))
	}
	return nil, nil, fmt.Errorf("the server of %s does not answer at %s (%w): start `statuswire serve --data %s`",
		dataDir, endpoints.NATS, err, dataDir)
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
