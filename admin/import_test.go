package admin_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/directory"
)

func TestALineBeyondTheGreatestPayloadIsNamedAndTheOthersAreImported(t *testing.T) {
	h := start(t, admin.Options{})
	long := strings.Repeat("x", int(h.nc.MaxPayload()))
	file := strings.Join([]string{
		`{"id":"c1","owner":"alice"}`,
		long,
		`{"id":"c3","owner":"alice"}`,
		`nonsense`,
		strings.Repeat(long, 3),
		`{"id":"c6","owner":"alice"}`,
		long + "x", // without an end
	}, "\n")
	sum, err := h.client.Import(t.Context(), strings.NewReader(file), nil)
	must(t, err)
	if sum.Lines != 7 || sum.Created != 3 || sum.Failed != 4 {
		t.Errorf("sum is %+v", sum)
	}
	var lines []int
	for _, e := range sum.Errors {
		lines = append(lines, e.Line)
		if long := e.Line != 4; long && (!errors.Is(e, admin.ErrBadRequest) || !strings.Contains(e.Error(), "max_payload")) {
			t.Errorf("%v", e)
		}
	}
	if !slices.Equal(lines, []int{2, 4, 5, 7}) {
		t.Errorf("errors are %v", sum.Errors)
	}
	list, err := h.client.List(t.Context(), "")
	must(t, err)
	if len(list) != 3 {
		t.Errorf("there are %v", list)
	}
}

// Two users, caf\xe9 and caf\xe8 in Latin-1, were both made into caf\ufffd.
func TestALineThatIsNotUTF8IsRefusedWithItsColumn(t *testing.T) {
	h := start(t, admin.Options{})
	file := strings.Join([]string{
		`{"id":"good","owner":"café"}`,
		`{"id":"c2","owner":"caf` + "\xe9" + `"}`,
		`{"id":"c3","owner":"alice","members":["é","\xe8"]}`,
		`{"id":"c4","owner":"\ud800"}`,
		`{"id":"c5","owner":"` + "\ufffd" + `"}`,
		`{"id":"c6","owner":"alice","members":["\udc00x"]}`,
	}, "\n")
	file = strings.Replace(file, `\xe8`, "\xe8", 1)
	sum, err := h.client.Import(t.Context(), strings.NewReader(file), nil)
	must(t, err)
	if sum.Created != 1 || sum.Failed != 5 || len(sum.Errors) != 5 {
		t.Fatalf("sum is %+v", sum)
	}
	for i, want := range []string{
		"line 2: request is not understood: column 24: byte 0xe9 is not UTF-8",
		"line 3: request is not understood: column 44: byte 0xe8 is not UTF-8",
		`line 4: conversation is invalid: owner of "c4": bad user id`,
		`line 5: conversation is invalid: owner of "c5": bad user id`,
		`line 6: conversation is invalid: members of "c6": bad user id`,
	} {
		if got := sum.Errors[i].Error(); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if list, err := h.client.List(t.Context(), ""); err != nil || len(list) != 1 {
		t.Errorf("there are %v, %v", list, err)
	}
}

func TestARequestThatIsNotUTF8IsRefused(t *testing.T) {
	h := start(t, admin.Options{})
	for _, body := range []string{"{\"id\":\"c1\",\n\"owner\":\"caf\xe9\"}", "{\"id\":\"c1\",\n \"owner\":\"a\"}\xe9"} {
		m, err := h.nc.Request("admin.conversation.create", []byte(body), 5*time.Second)
		must(t, err)
		if !strings.Contains(string(m.Data), "line 2, column 1") || !strings.Contains(string(m.Data), "byte 0xe9 is not UTF-8") {
			t.Errorf("%q: %s", body, m.Data)
		}
	}
}

func TestTheTimesOfAnImportAreRFC3339(t *testing.T) {
	h := start(t, admin.Options{})
	var file strings.Builder
	for i, created := range []string{`"2024-01-19t12:00:00z"`, `"2016-12-31T23:59:60Z"`, `"2024-01-19T14:00:00.5+02:00"`, `null`, `"yesterday"`, `"2024-01-19 12:00:00Z"`, `1705665600`} {
		fmt.Fprintf(&file, `{"id":"c%d","owner":"alice","created":%s}`+"\n", i, created)
	}
	sum, err := h.client.Import(t.Context(), strings.NewReader(file.String()), nil)
	must(t, err)
	if sum.Created != 4 || sum.Failed != 3 {
		t.Fatalf("sum is %+v", sum)
	}
	for _, e := range sum.Errors {
		if !errors.Is(e, admin.ErrBadRequest) || !strings.Contains(e.Error(), "created") || !strings.Contains(e.Error(), "2024-01-19T12:00:00Z") {
			t.Errorf("%v", e)
		}
	}
	list, err := h.client.List(t.Context(), "")
	must(t, err)
	for i, want := range []time.Time{
		time.Date(2024, 1, 19, 12, 0, 0, 0, time.UTC),
		time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2024, 1, 19, 12, 0, 0, 5e8, time.UTC),
	} {
		if i >= len(list) || !list[i].Created.Equal(want) {
			t.Errorf("want c%d of %v: %+v", i, want, list)
		}
	}
	if i := slices.IndexFunc(list, func(c directory.Conversation) bool { return c.ID == "c3" }); i < 0 || time.Since(list[i].Created) > time.Hour {
		t.Errorf("without a time it is not of now: %+v", list)
	}
}
