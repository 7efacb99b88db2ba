package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/status"
)

func TestAConversationFromCreateToDelete(t *testing.T) {
	h := start(t, admin.Options{})
	ctx := t.Context()
	c, err := h.client.Create(ctx, admin.CreateRequest{ID: "c1", Owner: "alice", Members: []status.UserID{"bob"}, Categories: []status.Category{"render"}})
	must(t, err)
	want := directory.Conversation{ID: "c1", Owner: "alice", Members: []status.UserID{"bob"}, Categories: []status.Category{"render"}}
	if !c.Equal(want) || c.Created.IsZero() {
		t.Errorf("created %+v", c)
	}
	if known, err := h.dir.Conversation(ctx, "c1"); err != nil || !known.Equal(want) {
		t.Errorf("the directory has %+v, %v", known, err)
	}
	shown, err := h.client.Show(ctx, "c1")
	must(t, err)
	if !shown.Equal(want) || !shown.Created.Equal(c.Created) {
		t.Errorf("shown %+v", shown)
	}
	for range 2 {
		c, err = h.client.Add(ctx, "c1", "Zoë <z@example.com>")
		must(t, err)
		if !c.Admits("Zoë <z@example.com>") || len(c.Members) != 2 {
			t.Errorf("added: %+v", c)
		}
	}
	for range 2 {
		c, err = h.client.Remove(ctx, "c1", "bob")
		must(t, err)
		if c.Admits("bob") || len(c.Members) != 1 {
			t.Errorf("removed: %+v", c)
		}
	}
	list, err := h.client.List(ctx, "alice")
	must(t, err)
	if len(list) != 1 || !list[0].Equal(c) {
		t.Errorf("listed %+v", list)
	}
	h.store(t, "c1", 7)
	h.store(t, "c2", 3)
	purged, err := h.client.Delete(ctx, "c1")
	must(t, err)
	if purged != 7 || h.stored(t, "c1") != 0 || h.stored(t, "c2") != 3 {
		t.Errorf("purged %d; left of c1 %d, of c2 %d", purged, h.stored(t, "c1"), h.stored(t, "c2"))
	}
	if _, err := h.client.Show(ctx, "c1"); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("shown after delete: %v", err)
	}
}

func TestEachRefusalHasItsCodeAndSaysWhatToDo(t *testing.T) {
	h := start(t, admin.Options{})
	_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"})
	must(t, err)
	tests := []struct {
		name, verb, request string
		want                *status.Error
		text                string
	}{
		{"no JSON", "show", `c1`, admin.ErrBadRequest, "request is not understood"},
		{"half a JSON", "show", `{"id":`, admin.ErrBadRequest, "ends too early"},
		{"two objects", "show", `{"id":"c1"}{}`, admin.ErrBadRequest, "something after the JSON object"},
		{"a list", "show", `["c1"]`, admin.ErrBadRequest, "not a JSON object"},
		{"an unknown field", "create", `{"id":"c2","owner":"a","member":"b"}`, admin.ErrBadRequest, `unknown field "member"`},
		{"a field of the wrong kind", "create", `{"id":"c2","owner":7}`, admin.ErrBadRequest, `field "owner" cannot be a JSON number`},
		{"nothing at all", "show", ``, admin.ErrInvalid, "bad conversation id: it is empty"},
		{"an id with a dot", "show", `{"id":"a.b"}`, admin.ErrInvalid, `"a.b"`},
		{"a wildcard to delete", "delete", `{"id":"*"}`, admin.ErrInvalid, `"*"`},
		{"no owner", "create", `{"id":"c2"}`, admin.ErrInvalid, `"c2" has no owner`},
		{"a default category", "create", `{"id":"c2","owner":"a","categories":["engine"]}`, admin.ErrInvalid, "leave it out"},
		{"an id that is taken", "create", `{"id":"c1","owner":"bob"}`, admin.ErrExists, `exists already: "c1"`},
		{"unknown to show", "show", `{"id":"nope"}`, admin.ErrNotFound, `not found: "nope"`},
		{"unknown to add", "add", `{"id":"nope","member":"bob"}`, admin.ErrNotFound, `"nope"`},
		{"unknown to delete", "delete", `{"id":"nope"}`, admin.ErrNotFound, `"nope"`},
		{"no member", "add", `{"id":"c1"}`, admin.ErrInvalid, "bad user id"},
		{"a member with a line break", "add", `{"id":"c1","member":"a\r\nb: c"}`, admin.ErrInvalid, `"a\r\nb: c"`},
		{"the owner to remove", "remove", `{"id":"c1","member":"alice"}`, admin.ErrOwner, `"alice" owns "c1"`},
		{"a limit beyond the greatest", "list", `{"limit":1001}`, admin.ErrBadRequest, "use 1 to 1000"},
		{"a field name without end", "show", `{"` + strings.Repeat("x", 100_000) + `":1}`, admin.ErrBadRequest, "xxx…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := h.nc.Request("admin.conversation."+tt.verb, []byte(tt.request), 5*time.Second)
			must(t, err)
			var body struct {
				Error *status.Error `json:"error"`
			}
			if err := json.Unmarshal(m.Data, &body); err != nil || body.Error == nil {
				t.Fatalf("body is %q", m.Data)
			}
			if !errors.Is(body.Error, tt.want) || body.Error.Code != tt.want.Code || !strings.Contains(body.Error.Description, tt.text) {
				t.Errorf("got %+v, want %d and %q", body.Error, tt.want.ErrCode, tt.text)
			}
			if m.Header.Get(micro.ErrorCodeHeader) != fmt.Sprint(tt.want.Code) || m.Header.Get(micro.ErrorHeader) != body.Error.Description {
				t.Errorf("headers are %v", m.Header)
			}
		})
	}
	if list, err := h.client.List(t.Context(), ""); err != nil || len(list) != 1 {
		t.Errorf("the refused left something: %+v, %v", list, err)
	}
}

func TestDeleteReachesStatusesThatWereOnTheirWay(t *testing.T) {
	h := start(t, admin.Options{})
	_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"})
	must(t, err)
	js, err := jetstream.New(h.part(t, engine.PartBroadcaster))
	must(t, err)
	// Publishers that look up and then store, with a delay in between.
	var stored atomic.Int64
	var publishers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 4 {
		publishers.Go(func() {
			for ctx.Err() == nil {
				if _, err := h.dir.Conversation(ctx, "c1"); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
				if _, err := js.Publish(context.Background(), status.IngestSubject("c1", "engine"), []byte(`{"text":"x"}`)); err != nil {
					t.Error(err)
					return
				}
				stored.Add(1)
			}
		})
	}
	for stored.Load() < 20 {
		time.Sleep(time.Millisecond)
	}
	purged, err := h.client.Delete(t.Context(), "c1")
	must(t, err)
	publishers.Wait()
	if left := h.stored(t, "c1"); left != 0 || int64(purged) != stored.Load() {
		t.Errorf("stored %d, purged %d, left %d", stored.Load(), purged, left)
	}
}

func TestAnIdThatIsUsedAgainStartsWithoutTheOldStatuses(t *testing.T) {
	h := start(t, admin.Options{})
	for _, again := range map[string]func(id status.ConversationID) error{
		"by create": func(id status.ConversationID) error {
			_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: id, Owner: "bob"})
			return err
		},
		"by import": func(id status.ConversationID) error {
			_, err := h.client.Import(t.Context(), strings.NewReader(fmt.Sprintf(`{"id":%q,"owner":"bob"}`, id)), nil)
			return err
		},
	} {
		_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"})
		must(t, err)
		_, err = h.client.Delete(t.Context(), "c1")
		must(t, err)
		h.store(t, "c1", 3) // far too late
		must(t, again("c1"))
		if left := h.stored(t, "c1"); left != 0 {
			t.Errorf("bob sees %d statuses of alice", left)
		}
		_, err = h.client.Delete(t.Context(), "c1")
		must(t, err)
	}
}

func TestADeleteThatWasNotFinishedCanBeSentAgain(t *testing.T) {
	h := start(t, admin.Options{})
	_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"})
	must(t, err)
	h.store(t, "c1", 3)
	must(t, h.dir.Delete(t.Context(), "c1")) // as if the purge had failed
	purged, err := h.client.Delete(t.Context(), "c1")
	if err != nil || purged != 3 {
		t.Errorf("purged %d, %v", purged, err)
	}
	if _, err := h.client.Delete(t.Context(), "c1"); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("once more: %v", err)
	}
}

func TestImportTellsEachLine(t *testing.T) {
	h := start(t, admin.Options{})
	_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: "same", Owner: "alice"})
	must(t, err)
	_, err = h.client.Create(t.Context(), admin.CreateRequest{ID: "other", Owner: "alice"})
	must(t, err)
	file := "\ufeff" + strings.Join([]string{
		`{"id":"new","owner":"alice","members":["bob"],"categories":["render"],"created":"2024-01-19T12:00:00Z"}`,
		``,
		`{"id":"same","owner":"alice"}` + "\r",
		`{"id":"other","owner":"bob"}`,
		`{"id":"bad"`,
		`{"id":"x.y","owner":"alice"}`,
		`{"id":"typo","owner":"alice","member":["bob"]}`,
		`   `,
		`{"id":"last","owner":"alice"}`,
	}, "\n")
	sum, err := h.client.Import(t.Context(), strings.NewReader(file), nil)
	must(t, err)
	if sum.Lines != 9 || sum.Created != 2 || sum.Unchanged != 1 || sum.Updated != 1 || sum.Failed != 3 {
		t.Errorf("sum is %+v", sum)
	}
	var lines []int
	for _, e := range sum.Errors {
		lines = append(lines, e.Line)
	}
	if !slices.Equal(lines, []int{5, 6, 7}) {
		t.Errorf("errors are %v", sum.Errors)
	}
	for i, want := range []*status.Error{admin.ErrBadRequest, admin.ErrInvalid, admin.ErrBadRequest} {
		if i < len(sum.Errors) && !errors.Is(sum.Errors[i], want) {
			t.Errorf("line %d: %v, want %v", sum.Errors[i].Line, sum.Errors[i], want)
		}
	}
	c, err := h.client.Show(t.Context(), "new")
	must(t, err)
	if !c.Admits("bob") || !c.Created.Equal(time.Date(2024, 1, 19, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("imported %+v", c)
	}
}

func TestAnImportOfManyRequestsCountsLinesThroughout(t *testing.T) {
	h := start(t, admin.Options{})
	var file strings.Builder
	const n = 12_000
	for i := 1; i <= n; i++ {
		switch {
		case i == 3_000 || i == 11_999:
			file.WriteString("nonsense\n")
		default:
			fmt.Fprintf(&file, `{"id":"c%05d","owner":"user%d","members":["%s"]}`+"\n", i, i%100, strings.Repeat("m", i%200+1))
		}
	}
	var calls int
	sum, err := h.client.Import(t.Context(), strings.NewReader(file.String()), func(soFar admin.ImportResponse) { calls++ })
	must(t, err)
	if sum.Lines != n || sum.Created != n-2 || sum.Failed != 2 || len(sum.Errors) != 2 || sum.Errors[0].Line != 3_000 || sum.Errors[1].Line != 11_999 {
		t.Errorf("sum is %+v", sum)
	}
	if calls < 6 {
		t.Errorf("%d requests", calls)
	}
	list, err := h.client.List(t.Context(), "")
	must(t, err)
	if len(list) != n-2 || !slices.IsSortedFunc(list, func(a, b directory.Conversation) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
		t.Errorf("the list has %d", len(list))
	}
	mine, err := h.client.List(t.Context(), "user7")
	must(t, err)
	if len(mine) != n/100 {
		t.Errorf("user7 owns %d", len(mine))
	}
	sum, err = h.client.Import(t.Context(), strings.NewReader(file.String()), nil)
	must(t, err)
	if sum.Unchanged != n-2 || sum.Created != 0 {
		t.Errorf("the second time: %+v", sum)
	}
}

func TestConversationsOfTheGreatestSizeAreListed(t *testing.T) {
	h := start(t, admin.Options{})
	for i := range 4 {
		r := admin.CreateRequest{ID: status.ConversationID(fmt.Sprintf("c%d", i)), Owner: "alice"}
		for m := range directory.MaxMembers {
			r.Members = append(r.Members, status.UserID(fmt.Sprintf("%04d%s", m, strings.Repeat(`"`, 252))))
		}
		_, err := h.client.Create(t.Context(), r)
		must(t, err)
	}
	list, err := h.client.List(t.Context(), "")
	must(t, err)
	if len(list) != 4 || len(list[3].Members) != directory.MaxMembers {
		t.Errorf("the list has %d", len(list))
	}
}

func TestWritersAtTheSameTimeLoseNothing(t *testing.T) {
	h := start(t, admin.Options{})
	_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"})
	must(t, err)
	var writers sync.WaitGroup
	for i := range 50 {
		writers.Go(func() {
			if _, err := h.client.Add(t.Context(), "c1", status.UserID(fmt.Sprintf("u%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	c, err := h.client.Show(t.Context(), "c1")
	must(t, err)
	if len(c.Members) != 50 {
		t.Errorf("%d members", len(c.Members))
	}
}

func TestTheServiceIsFoundAsAMicroService(t *testing.T) {
	h := start(t, admin.Options{Version: "1.2.3", Sessions: &sessions{}, Explainer: explainer{}})
	m, err := h.nc.Request("$SRV.INFO.admin", nil, 5*time.Second)
	must(t, err)
	var info micro.Info
	must(t, json.Unmarshal(m.Data, &info))
	var subjects []string
	for _, e := range info.Endpoints {
		subjects = append(subjects, e.Subject)
		if e.Metadata["request"] == "" || e.Metadata["response"] == "" {
			t.Errorf("%s does not say what it takes and gives", e.Subject)
		}
	}
	slices.Sort(subjects)
	want := []string{"admin.category.add.*", "admin.category.retire.*"}
	for _, verb := range []string{"add", "create", "delete", "import", "list", "remove", "show"} {
		want = append(want, "admin.conversation."+verb+".*")
	}
	want = append(want, "admin.session.kick.*", "admin.session.list.*", "admin.why.*")
	if info.Version != "1.2.3" || !slices.Equal(subjects, want) {
		t.Errorf("info is %+v", info)
	}
}

func TestAServicesKeyMayNotAsk(t *testing.T) {
	h := start(t, admin.Options{})
	client := admin.NewClient(h.dial(t, h.keys.Service), admin.OperatorName)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if c, err := client.Create(ctx, admin.CreateRequest{ID: "c1", Owner: "mallory"}); err == nil {
		t.Errorf("created %+v", c)
	}
	if _, err := h.client.Show(t.Context(), "c1"); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
}

func TestWhatIsDownIsUnavailableAndItsCauseIsOnlyLogged(t *testing.T) {
	var log strings.Builder
	h := start(t, admin.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, h.dir.Stop(t.Context()))
	_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"})
	var answer *status.Error
	if !errors.As(err, &answer) || !errors.Is(err, admin.ErrUnavailable) || answer.Description != admin.ErrUnavailable.Description {
		t.Errorf("got %v", err)
	}
	sum, err := h.client.Import(t.Context(), strings.NewReader(`{"id":"c1","owner":"alice"}`), nil)
	if err != nil || sum.Failed != 1 || !errors.Is(sum.Errors[0], admin.ErrUnavailable) {
		t.Errorf("import: %+v, %v", sum, err)
	}
	must(t, h.service.Stop(t.Context()))
	if !strings.Contains(log.String(), "it is not running") {
		t.Errorf("the log is %s", log.String())
	}
}

func TestStopWaitsForTheRequestUnderWayAndThenNobodyAnswers(t *testing.T) {
	h := start(t, admin.Options{Settle: 300 * time.Millisecond})
	_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"})
	must(t, err)
	h.store(t, "c1", 2)
	type result struct {
		purged uint64
		err    error
	}
	done := make(chan result, 1)
	go func() {
		n, err := h.client.Delete(context.Background(), "c1")
		done <- result{n, err}
	}()
	for {
		if _, err := h.dir.Conversation(t.Context(), "c1"); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	must(t, h.service.Stop(t.Context()))
	must(t, h.service.Stop(t.Context()))
	if r := <-done; r.err != nil || r.purged != 2 {
		t.Errorf("the delete under way: %+v", r)
	}
	if _, err := h.client.Show(t.Context(), "c1"); !errors.Is(err, admin.ErrNoService) && !errors.Is(err, admin.ErrUnavailable) {
		t.Errorf("after Stop: %v", err)
	}
	if err := h.service.Start(t.Context()); err == nil {
		t.Error("it started again")
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, opts := range map[string]admin.Options{
		"a timeout of an hour": {Timeout: time.Hour},
		"a negative timeout":   {Timeout: -1},
		"a negative settle":    {Settle: -1},
		"a settle of a minute": {Settle: time.Minute},
	} {
		if _, err := admin.New(nil, nil, opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	must(t, admin.DefaultOptions().Validate())
}
