package engine

import (
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// Users are the users of nats.conf by the name of their variable, "SERVICE_KEY".
func (e *Engine) Users() map[string]*server.NkeyUser {
	users := map[string]*server.NkeyUser{}
	for name, key := range e.vars {
		for _, u := range e.server.Nkeys {
			if u.Nkey == key {
				users[name] = u
			}
		}
	}
	return users
}

// KeyOf is the key pair of a user of nats.conf.
func (e *Engine) KeyOf(variable string) nkeys.KeyPair {
	pairs := map[string]nkeys.KeyPair{
		"SERVICE_KEY":  e.opts.Keys.Service,
		"OPERATOR_KEY": e.opts.Keys.Operator,
		"SYSTEM_KEY":   e.opts.Keys.System,
		viewerVariable: e.viewer,
	}
	for p, kp := range e.parts {
		pairs[p.variable()] = kp
	}
	return pairs[variable]
}

// ServerOptions are the server's options as parsed.
func (e *Engine) ServerOptions() *server.Options { return e.server }

// Server is the server of now.
func (e *Engine) Server() *server.Server { return e.srv }

// ProxyHeader writes the header of a link.
var ProxyHeader = proxyHeader

// TooOld is the age limit's edge.
var TooOld = tooOld
