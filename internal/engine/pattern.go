package engine

import (
	"fmt"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

// rolePatterns are the users of nats.conf that say what the named keys of a role
// may do. Those of operator and service are the keys of DIR/keys as well; the
// viewer's is new at each start and never leaves the memory: nobody has it.
func rolePatterns() map[string]string {
	return map[string]string{"operator": "OPERATOR_KEY", "service": "SERVICE_KEY", "viewer": viewerVariable}
}

const viewerVariable = "VIEWER_KEY"

// Pattern is the account and the permissions that nats.conf gives to a role:
// operator, viewer or service.
func (e *Engine) Pattern(role string) (account string, p jwt.Permissions, err error) {
	for _, u := range e.server.Nkeys {
		if u.Nkey != e.vars[rolePatterns()[role]] || u.Account == nil {
			continue
		}
		return u.Account.Name, permissionsOf(u.Permissions), nil
	}
	return "", p, fmt.Errorf("nats.conf has no user $%s_KEY, which says what keys of the role %s may do", strings.ToUpper(role), role)
}

func permissionsOf(p *server.Permissions) jwt.Permissions {
	out := jwt.Permissions{
		Pub: jwt.Permission{Allow: p.Publish.Allow, Deny: p.Publish.Deny},
		Sub: jwt.Permission{Allow: p.Subscribe.Allow, Deny: p.Subscribe.Deny},
	}
	if r := p.Response; r != nil {
		out.Resp = &jwt.ResponsePermission{MaxMsgs: r.MaxMsgs, Expires: r.Expires}
	}
	return out
}

// checkPatterns looks at the users that roles are made of. One may be missing: then
// there are no keys of that role.
func (c *checker) checkPatterns() {
	for role, variable := range rolePatterns() {
		u := c.user(variable)
		if u == nil {
			continue
		}
		if !restricted(u.Permissions) {
			c.fault(at("accounts"), "the user $%s needs an allow list for publish and for subscribe: without one it may do everything, and keys of the role %s too", variable, role)
			continue
		}
		for _, subject := range u.Permissions.Publish.Allow {
			if subject == ">" || strings.HasPrefix(subject, "admin.") && !strings.HasSuffix(subject, "."+role) {
				c.fault(at("accounts"), "the user $%s may publish %q, and so ask in the name of any key: let it end with who asks, as admin.conversation.*.%s does", variable, subject, role)
			}
		}
		c.checkAuthUser(variable)
	}
}
