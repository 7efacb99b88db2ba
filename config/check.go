package config

import (
	"errors"
	"fmt"
	"os"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
)

// Check reads both files as `serve` would and reports everything that is wrong
// in either. It needs no data folder and leaves nothing behind.
func Check(f Files) error {
	o, err := Load(f)
	nats := o.Engine
	if err != nil { // what nats.conf is told by statuswire.conf is not known now
		nats.NativeWebSocket = true
		var readErr error
		nats.ConfigName, nats.Config, readErr = readNATS(f)
		if readErr != nil {
			return errors.Join(err, readErr)
		}
	}
	return errors.Join(err, checkNATS(nats))
}

// checkNATS has the engine read nats.conf, with keys of the moment.
func checkNATS(o engine.Options) error {
	dir, err := os.MkdirTemp("", "statuswire-check-")
	if err != nil {
		return fmt.Errorf("no folder for the keys of the check: %w", err)
	}
	defer os.RemoveAll(dir)
	if o.Keys, err = keys.Load(dir); err != nil {
		return err
	}
	o.StoreDir = dir
	_, err = engine.New(o)
	return err
}
