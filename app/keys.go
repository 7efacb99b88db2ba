package app

import (
	"context"
	"errors"

	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keyring"
)

// startKeyring loads the named keys.
func (a *App) startKeyring(ctx context.Context) error {
	nc, err := a.connect(engine.PartKeys)
	if err != nil {
		return err
	}
	a.keyring = keyring.New(nc, keyring.Options{Storable: a.storable(engine.BucketStream(engine.BucketKeys)), Logger: a.log})
	a.keyring.OnChange(func() {
		if a.calloutUp.Load() { // before it, or with somebody else's callout, nobody has logged in with one
			a.callout.KeysChanged()
		}
	})
	if err := a.keyring.Start(ctx); err != nil {
		return err
	}
	a.steps.add("stop the keyring", a.keyring.Stop)
	return nil
}

// namedKeys is what the callout needs to decide about them.
func (a *App) namedKeys() *authcallout.NamedKeys {
	named := &authcallout.NamedKeys{Keyring: a.keyring, Connections: a.engine, Patterns: map[keyring.Role]authcallout.Pattern{}}
	for _, role := range keyring.Roles() {
		account, permissions, err := a.engine.Pattern(string(role))
		if err != nil {
			a.log.Warn("there are no keys of a role", "role", string(role), "error", err)
			continue
		}
		named.Patterns[role] = authcallout.Pattern{Account: account, Permissions: permissions}
	}
	return named
}

var errExternalKeys = errors.New("named keys are not to be had, as callout { external: true } is set: the server asks your authorization service about keys that nats.conf does not know")

// roleAvailable is an error when nats.conf does not say what keys of the role may do, or
// nobody would ask us.
func (a *App) roleAvailable(role keyring.Role) error {
	if a.opts.ExternalCallout {
		return errExternalKeys
	}
	_, _, err := a.engine.Pattern(string(role))
	return err
}

// builtInKeys are those of DIR/keys that people and services connect with.
func (a *App) builtInKeys() ([]admin.BuiltInKey, error) {
	var list []admin.BuiltInKey
	for _, k := range []struct {
		name string
		pair nkeys.KeyPair
	}{{"operator", a.keys.Operator}, {"service", a.keys.Service}, {"system", a.keys.System}} {
		public, err := k.pair.PublicKey()
		if err != nil {
			return nil, err
		}
		list = append(list, admin.BuiltInKey{Name: k.name, Role: k.name, Public: public})
	}
	return list, nil
}
