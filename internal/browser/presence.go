package browser

import "github.com/statuswire/statuswire/status"

// presentLocked notes n more subscriptions of the browser in a conversation, and
// tells presence of the first and the last one; mu is held, so that it hears
// them in order.
func (b *Browser) presentLocked(c status.ConversationID, n int) {
	if c == "" {
		return
	}
	before := b.present[c]
	after := before + n
	if after > 0 {
		b.present[c] = after
	} else {
		delete(b.present, c)
	}
	switch p := b.hub.deps.Presence; {
	case p == nil:
	case before == 0 && after > 0:
		p.Join(c, b.grant.User, b.id)
	case before > 0 && after <= 0:
		p.Leave(c, b.grant.User, b.id)
	}
}
