package broadcaster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

func ExamplePublisher_Publish() {
	nc, stop := serve() // nats.Connect("nats://127.0.0.1:4222", …) with the key in DIR/keys/service.nk
	defer stop()
	publisher, err := broadcaster.NewPublisher(nc, broadcaster.PublisherOptions{})
	if err != nil {
		log.Fatal(err)
	}

	ack, err := publisher.Publish(context.Background(), "c1", status.Message{
		Category: "engine",
		Text:     "Processing query…",
		Metadata: json.RawMessage(`{"step":1,"total_steps":3}`),
	})
	fmt.Println(ack.Stream, ack.Sequence, err)

	_, err = publisher.Publish(context.Background(), "c1", status.Message{Category: "enginee", Text: "Processing query…"})
	fmt.Println(errors.Is(err, status.ErrUnknownCategory))
	fmt.Println(err)
	// Output:
	// STATUS 1 <nil>
	// true
	// publish status.c1.enginee: unknown category "enginee": conversation "c1" has engine, tool, workflow, progress, error, info (err_code 20003)
}

// With an id of its own a status can be published again without fear, also after
// a crash: within two minutes the stream stores it once.
func ExamplePublisher_Publish_again() {
	nc, stop := serve()
	defer stop()
	publisher, err := broadcaster.NewPublisher(nc, broadcaster.PublisherOptions{})
	if err != nil {
		log.Fatal(err)
	}
	done := status.Message{Category: "progress", Text: "Done", ID: "job-7/done"}
	for range 2 {
		ack, err := publisher.Publish(context.Background(), "c1", done)
		fmt.Println(ack.Sequence, ack.Duplicate, err)
	}
	// Output:
	// 1 false <nil>
	// 1 true <nil>
}

func ExamplePublisher_PublishBatch() {
	nc, stop := serve()
	defer stop()
	publisher, err := broadcaster.NewPublisher(nc, broadcaster.PublisherOptions{})
	if err != nil {
		log.Fatal(err)
	}
	results, err := publisher.PublishBatch(context.Background(), []broadcaster.Outgoing{
		{Conversation: "c1", Message: status.Message{Category: "tool", Text: "Searching"}},
		{Conversation: "c1", Message: status.Message{Category: "tool"}},
		{Conversation: "c1", Message: status.Message{Category: "tool", Text: "Found 12 documents"}},
	})
	for _, r := range results {
		fmt.Println(r.Ack.Sequence, r.Err)
	}
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// 0 text is empty: put what happened into "text" (err_code 20011)
	// 2 <nil>
	// 1 of 3 statuses were not stored, the first: text is empty: put what happened into "text" (err_code 20011)
}

// Any NATS client is a publisher: what comes back is JetStream's acknowledgement.
func Example_withoutPublisher() {
	nc, stop := serve()
	defer stop()
	js, err := nc.JetStream()
	if err != nil {
		log.Fatal(err)
	}
	ack, err := js.Publish("status.c1.info", []byte(`{"text":"hi"}`))
	fmt.Println(ack.Stream, ack.Sequence, err)
	_, err = js.Publish("status.c1.info", []byte(`{"text":7}`))
	fmt.Println(err)
	// Output:
	// STATUS 1 <nil>
	// nats: text is a number: make it a string
}

func ExampleBroadcaster_Stats() {
	nc, stop := serve()
	defer stop()
	for _, payload := range []string{`{"text":"hi"}`, `{"text":7}`, `hi`} {
		answer, err := nc.Request("status.c1.info", []byte(payload), nats.DefaultTimeout)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", answer.Data)
	}
	// Output:
	// {"stream":"STATUS","seq":1}
	// {"error":{"code":400,"err_code":20012,"description":"text is a number: make it a string"}}
	// {"error":{"code":400,"err_code":20007,"description":"payload is not valid JSON: 'h' at byte 0, want a value"}}
}

// serve is a server with the conversation c1, and a service's connection to it.
func serve() (*nats.Conn, func()) {
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "statuswire")
	must(err)
	set, err := keys.Load(dir)
	must(err)
	e, err := engine.New(engine.Options{Listen: "127.0.0.1:0", StoreDir: dir, Keys: set})
	must(err)
	must(e.Start(ctx))
	part, err := e.Connect(engine.PartBroadcaster)
	must(err)
	b, err := broadcaster.New(part, &memory{conversations: map[status.ConversationID]directory.Conversation{"c1": {ID: "c1", Owner: "ann"}}}, broadcaster.Options{})
	must(err)
	must(b.Start(ctx))
	public, err := set.Service.PublicKey()
	must(err)
	nc, err := nats.Connect(e.ClientURL(), nats.Nkey(public, set.Service.Sign))
	must(err)
	return nc, func() {
		nc.Close()
		must(b.Stop(ctx))
		must(e.Stop(ctx))
		must(os.RemoveAll(dir))
	}
}
