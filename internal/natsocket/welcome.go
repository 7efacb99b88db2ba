package natsocket

import (
	"encoding/json"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// welcomed is the answer to edge.<c>.join as the holder of the grant may have it: in
// its snapshot are statuses of what they might subscribe to, and no others. What
// cannot be read is not passed on.
func welcomed(g *session.Grant, c status.ConversationID, header nats.Header, body []byte) (nats.Header, []byte) {
	if g.CanSubscribe(status.ConversationSubjects(c), "") && !g.Filters() || relay.RefusedBy(header, body) != nil {
		return header, body
	}
	filtered, err := filterWelcome(body, c, func(subject string) bool { return g.CanSubscribe(subject, "") })
	if err != nil {
		refused := status.ErrUnavailable.Withf("%s", refusal.ReasonUnavailable)
		return nats.Header{
			micro.ErrorHeader:     {refused.Description},
			micro.ErrorCodeHeader: {strconv.Itoa(refused.Code)},
		}, refused.Response()
	}
	return header, filtered
}

// filterWelcome leaves out of a join's answer each status on a subject that may not
// be had, what is said of such a one, and nothing else.
func filterWelcome(body []byte, c status.ConversationID, may func(subject string) bool) ([]byte, error) {
	var welcome, shot map[string]json.RawMessage
	var statuses []json.RawMessage
	if err := json.Unmarshal(body, &welcome); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(welcome["snapshot"], &shot); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(shot["statuses"], &statuses); err != nil {
		return nil, err
	}
	kept, err := onlyGranted(statuses, func(st json.RawMessage) (string, error) {
		var on struct{ Subject string }
		err := json.Unmarshal(st, &on)
		return on.Subject, err
	}, may)
	if err != nil {
		return nil, err
	}
	if shot["statuses"], err = encodeJSON(kept); err != nil {
		return nil, err
	}
	if shot["left_out"] != nil {
		var leftOut []json.RawMessage
		if err := json.Unmarshal(shot["left_out"], &leftOut); err != nil {
			return nil, err
		}
		kept, err := onlyGranted(leftOut, func(st json.RawMessage) (string, error) {
			var on struct{ Category status.Category }
			err := json.Unmarshal(st, &on)
			return status.Subject(c, on.Category), err
		}, may)
		if err != nil {
			return nil, err
		}
		if shot["left_out"], err = encodeJSON(kept); err != nil {
			return nil, err
		}
	}
	if welcome["snapshot"], err = encodeJSON(shot); err != nil {
		return nil, err
	}
	return encodeJSON(welcome)
}

// onlyGranted is those of the list whose subject may be had.
func onlyGranted(list []json.RawMessage, subject func(json.RawMessage) (string, error), may func(subject string) bool) ([]json.RawMessage, error) {
	kept := []json.RawMessage{}
	for _, st := range list {
		on, err := subject(st)
		if err != nil {
			return nil, err
		}
		if may(on) {
			kept = append(kept, st)
		}
	}
	return kept, nil
}
