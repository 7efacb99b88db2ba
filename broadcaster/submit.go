package broadcaster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// canAnswer reports whether a publisher may have an answer there: JetStream's
// acknowledgement, which no permission of ours bounds, or our refusal.
func canAnswer(reply string) bool {
	return status.CanReply(reply, status.ReplyDefault, status.ReplyKey, status.ReplyImport)
}

// submit checks a submission and forwards it to the stream.
func (b *Broadcaster) submit(m *nats.Msg) *status.Error {
	if m.Reply != "" && !canAnswer(m.Reply) {
		return status.ErrBadReply.Withf("reply subject %s is no inbox: use one that begins with _INBOX. or _INBOX_key.", status.Quote(m.Reply))
	}
	c, cat, err := status.ParseSubmitSubject(m.Subject)
	if err != nil {
		return status.ErrBadSubject.Withf("subject %s is not status.<conversation>.<category>: %v", status.Quote(published(m.Subject)), err)
	}
	stored, err := status.Normalize(m.Data, cat, time.Now())
	if err != nil {
		return wireError(err)
	}
	if fromOtherAccount(m.Reply) {
		delete(m.Header, headerRequestInfo)
	}
	header, err := status.NormalizeHeader(m.Header, stored, c, cat)
	if err != nil {
		return wireError(err)
	}
	if refusal := b.admit(b.ctx, c, cat); refusal != nil {
		return refusal
	}
	return b.forward(&nats.Msg{Subject: status.IngestSubject(c, cat), Reply: m.Reply, Header: header, Data: stored.Data})
}

// admit asks the directory whether the conversation has the category.
func (b *Broadcaster) admit(ctx context.Context, c status.ConversationID, cat status.Category) *status.Error {
	conversation, err := b.dir.Conversation(ctx, c)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return status.ErrUnknownConversation.Withf("unknown conversation %q: create it first", c)
	case err != nil:
		b.opts.Logger.Warn("cannot look up a conversation", "conversation", string(c), "error", err)
		return status.ErrUnavailable.Withf("conversation %q cannot be looked up at the moment: publish again with the same id", c)
	}
	if isDefaultCategory(cat) || slices.Contains(conversation.Categories, cat) {
		return nil
	}
	return status.ErrUnknownCategory.Withf("unknown category %q: conversation %q has %s", cat, c, list(conversation.AllCategories()))
}

func isDefaultCategory(cat status.Category) bool {
	return slices.Contains(status.DefaultCategories(), cat)
}

func list(categories []status.Category) string {
	names := make([]string, len(categories))
	for i, cat := range categories {
		names[i] = string(cat)
	}
	return strings.Join(names, ", ")
}

// forward publishes to the stream. JetStream answers the publisher; only a reply
// subject of another account has to be answered from here.
func (b *Broadcaster) forward(m *nats.Msg) *status.Error {
	relayed := fromOtherAccount(m.Reply)
	if m.Reply != "" {
		b.recent.note(sent{m.Reply, relayed, time.Now()})
	}
	// Looked at behind the note: whoever passes here is told by StreamFailed.
	if err := b.opts.Storable(); err != nil {
		return status.ErrUnavailable.Withf("%v: publish again with the same id", err)
	}
	if relayed {
		m.Reply = b.relay.expect(m.Reply)
	}
	b.counts.forwarded.Add(1) // before it can be acknowledged
	err := b.nc.PublishMsg(m)
	if err == nil {
		return nil
	}
	b.counts.forwarded.Add(^uint64(0))
	if relayed {
		b.relay.forget()
	}
	b.opts.Logger.Warn("cannot forward a status", "subject", m.Subject, "error", err)
	return status.ErrUnavailable.Withf("the status cannot be stored at the moment: publish again with the same id")
}

// published is the subject as the publisher has it; the account's mapping has made it
// submit.….
func published(subject string) string {
	return "status." + strings.TrimPrefix(subject, "submit.")
}

// refuse answers the publisher, or the log when there is nobody to answer.
func (b *Broadcaster) refuse(m *nats.Msg, refusal *status.Error) {
	b.counts.refuse(refusal)
	if !canAnswer(m.Reply) {
		b.counts.unanswered.Add(1)
		b.opts.Logger.Warn("refused a status that has no reply subject", "subject", published(m.Subject), "reason", refusal.Description, "err_code", refusal.ErrCode)
		return
	}
	if err := b.nc.Publish(m.Reply, refusal.Response()); err != nil {
		b.counts.unanswered.Add(1)
		b.opts.Logger.Warn("cannot answer a refused status", "subject", published(m.Subject), "reason", refusal.Description, "error", err)
	}
}

func wireError(err error) *status.Error {
	var refusal *status.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	return status.ErrUnavailable.Withf("the status could not be checked")
}
