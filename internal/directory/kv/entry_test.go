package kv_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/status"
)

func TestTheLargestConversationFitsIntoOneMessage(t *testing.T) {
	c := directory.Conversation{ID: status.ConversationID(strings.Repeat("c", 128)), Owner: status.UserID(strings.Repeat(`"`, 256)), Created: time.Now()}
	for i := range directory.MaxMembers {
		c.Members = append(c.Members, status.UserID(fmt.Sprintf("%04d%s", i, strings.Repeat(`\`, 252))))
	}
	for i := range directory.MaxOwnCategories {
		c.Categories = append(c.Categories, status.Category(fmt.Sprintf("c%031d", i)))
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	value, err := kv.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(value) > 1<<20-1024 {
		t.Errorf("%d bytes do not fit into 1 MiB with their headers", len(value))
	}
	if got, err := kv.Decode(string(c.ID), value); err != nil || !got.Equal(c.Normalized()) {
		t.Error("it does not come back as it was")
	}
}

// A record of the audit, a status or an acknowledgement of JetStream, aimed at the
// bucket, gives nobody a conversation, and neither does an entry by another hand.
func TestOnlyWhatIsWrittenHereIsAConversation(t *testing.T) {
	const good = `{"id":"c1","owner":"alice","members":["bob"],"created":"2024-01-19T12:00:00Z"}`
	if _, err := kv.Decode("c1", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"a field more":             `{"id":"c1","owner":"alice","members":["bob"],"created":"2024-01-19T12:00:00Z","text":"hi"}`,
		"an owner twice":           `{"id":"c1","owner":"alice","owner":"mallory","created":"2024-01-19T12:00:00Z"}`,
		"another spelling":         `{"ID":"c1","OWNER":"mallory","created":"2024-01-19T12:00:00Z"}`,
		"another order":            `{"owner":"mallory","id":"c1","created":"2024-01-19T12:00:00Z"}`,
		"room":                     `{"id":"c1", "owner":"mallory","created":"2024-01-19T12:00:00Z"}`,
		"no time":                  `{"id":"c1","owner":"mallory"}`,
		"a status":                 `{"category":"engine","text":"hi","id":"c1","owner":"mallory","timestamp":"2024-01-19T12:00:00Z"}`,
		"members out of order":     `{"id":"c1","owner":"alice","members":["z","a"],"created":"2024-01-19T12:00:00Z"}`,
		"two values":               good + good,
		"bytes that are not UTF-8": "{\"id\":\"c1\",\"owner\":\"ali\xffce\",\"created\":\"2024-01-19T12:00:00Z\"}",
	} {
		if c, err := kv.Decode("c1", []byte(value)); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if _, err := kv.Decode("c2", []byte(good)); err == nil {
		t.Error("the entry of another key is taken")
	}
}

// Whatever lies in the bucket: what counts as a conversation keeps every rule,
// has its key's id, and comes back as it was.
func FuzzDecode(f *testing.F) {
	for _, c := range []directory.Conversation{
		{ID: "c1", Owner: "alice"},
		{ID: "c1", Owner: "Zoë <z@x>", Members: []status.UserID{"b", "a", "\u2028"}, Categories: []status.Category{"render"}, Created: time.Unix(1705665600, 5)},
	} {
		value, err := kv.Encode(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("c1", value)
	}
	f.Add("c1", []byte{})
	f.Add("a.b", []byte(`{"id":"a.b","owner":"alice"}`))
	f.Add("c1", []byte(`{"id":"c1","owner":"a","owner":"\ud800","created":"9999-12-31T23:59:60Z"}`))
	f.Add("c1", []byte(`{"id":"c1","owner":"a","created":"9999-12-31T23:59:59-23:00"}`))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		c, err := kv.Decode(key, data)
		if err != nil {
			return
		}
		if string(c.ID) != key {
			t.Fatalf("key %q gives %+v", key, c)
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		value, err := kv.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := kv.Decode(key, value); err != nil || !again.Equal(c) || !again.Created.Equal(c.Created) {
			t.Fatalf("%+v comes back as %+v, %v", c, again, err)
		}
	})
}
