package presence_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/status"
)

func TestMessagesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, c := range []struct{ name, verb, data string }{
		{"no JSON", "diff", `nonsense`},
		{"an unknown verb", "restart", `{"node":"n1","incarnation":1,"seq":1}`},
		{"no node", "diff", `{"incarnation":1,"seq":1}`},
		{"a node that is too long", "diff", `{"node":"` + strings.Repeat("n", 200) + `","incarnation":1}`},
		{"a control character in the node", "diff", `{"node":"n\n1","incarnation":1}`},
		{"no incarnation", "diff", `{"node":"n1","seq":1}`},
		{"a negative number", "diff", `{"node":"n1","incarnation":1,"seq":-1}`},
		{"a number out of range", "diff", `{"node":"n1","incarnation":1,"seq":18446744073709551615}`},
		{"bytes that are no UTF-8", "diff", "{\"node\":\"n1\",\"incarnation\":1,\"members\":[{\"c\":\"c1\",\"u\":\"a\xff\",\"n\":1}]}"},
		{"a conversation that is none", "diff", `{"node":"n1","incarnation":1,"members":[{"c":"c.1","u":"a","n":1}]}`},
		{"a user that is none", "diff", `{"node":"n1","incarnation":1,"members":[{"c":"c1","u":"","n":1}]}`},
		{"fewer than no connections", "diff", `{"node":"n1","incarnation":1,"members":[{"c":"c1","u":"a","n":-1}]}`},
		{"too many connections", "diff", `{"node":"n1","incarnation":1,"members":[{"c":"c1","u":"a","n":99999999}]}`},
		{"a time before all", "diff", `{"node":"n1","incarnation":1,"members":[{"c":"c1","u":"a","n":1,"t":-1}]}`},
		{"a time after all", "diff", `{"node":"n1","incarnation":1,"members":[{"c":"c1","u":"a","n":1,"t":999999999999999}]}`},
		{"buckets out of range", "snapshot", `{"node":"n1","incarnation":1,"to":257}`},
		{"buckets the wrong way round", "snapshot", `{"node":"n1","incarnation":1,"from":9,"to":8}`},
		{"an entry of another bucket", "snapshot", `{"node":"n1","incarnation":1,"members":[{"c":"c1","u":"a","n":1}]}`},
		{"a snapshot of nobody", "snapshot", `{"node":"n1","incarnation":1,"to":256,"members":[{"c":"c1","u":"a","n":0}]}`},
		{"a diff with buckets", "diff", `{"node":"n1","incarnation":1,"to":256}`},
		{"a field more", "diff", `{"node":"n1","incarnation":1,"owner":"mallory"}`},
		{"a node twice", "diff", `{"node":"n2","node":"n1","incarnation":1}`},
		{"another spelling", "diff", `{"Node":"n1","incarnation":1}`},
		{"room", "diff", `{"node":"n1", "incarnation":1}`},
		{"a bye with members", "bye", `{"node":"n1","incarnation":1,"members":[{"c":"c1","u":"a","n":1}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			// What a node always writes, so that this is not what is missed.
			data := c.data
			if !strings.Contains(data, `"seq"`) {
				data = strings.Replace(data, `"incarnation":1`, `"incarnation":1,"seq":0,"ready":false`, 1)
			}
			if m, err := presence.Decode("presence.node."+c.verb, []byte(data)); err == nil {
				t.Errorf("taken as %+v", m)
			}
		})
	}
}

func TestAUserOfAnyKindGoesThrough(t *testing.T) {
	want := presence.Message{Node: "n.1 ü", Incarnation: 7, Seq: 3, Entries: []presence.Entry{
		{Conversation: "node", User: `"<é\u2028>"`, Connections: 2, Since: 1_700_000_000_000},
	}}
	got, err := presence.Decode("presence.node.diff", presence.Encode(want))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want.As(presence.VerbDiff)) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("snapshot", []byte(`{"node":"n1","incarnation":1,"seq":1,"ready":false,"to":256,"members":[{"c":"c1","u":"alice","n":1,"t":5}]}`))
	f.Add("bye", []byte(`{"node":"n1","incarnation":1,"seq":0,"ready":false}`))
	f.Fuzz(func(t *testing.T, verb string, data []byte) {
		m, err := presence.Decode("presence.node."+verb, data)
		if err != nil {
			return
		}
		again, err := presence.Decode("presence.node."+m.Verb(), presence.Encode(m))
		if err != nil || !bytes.Equal(presence.Encode(again), presence.Encode(m)) {
			t.Errorf("%s: once more: %+v, %v", data, again, err)
		}
		(&presence.Replica{}).Apply(m, 10)
		n := presence.NewNode("n0", 1, presence.Options{})
		if err := n.Receive(time.Unix(0, 0), presence.Packet{Subject: "presence.node." + m.Verb(), Data: data}); err != nil {
			t.Error(err)
		}
	})
}

func TestEachConversationHasOneAnnouncerAndAllDoTheirShare(t *testing.T) {
	nodes := []string{"n1", "n2", "n3"}
	share := map[string]int{}
	for i := range 3000 {
		c := status.ConversationID(fmt.Sprintf("c%d", i))
		best := presence.Pick(nodes, c)
		share[best]++
		if other := presence.Pick([]string{"n3", "n1", "n2"}, c); other != best {
			t.Fatalf("%s: %s or %s", c, best, other)
		}
		if without := presence.Pick([]string{"n1", "n2"}, c); best != "n3" && without != best {
			t.Fatalf("%s goes from %s to %s because n3 went", c, best, without)
		}
	}
	for _, n := range nodes {
		if share[n] < 700 {
			t.Errorf("shares %v", share)
		}
	}
}
