package status_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/statuswire/statuswire/status"
)

func ExampleNormalize() {
	now := time.Date(2024, 1, 19, 12, 0, 0, 0, time.UTC)
	n, err := status.Normalize([]byte(`{"text":"Processing query…"}`), "engine", now)
	fmt.Printf("%s %v\n", n.Data, err)
	_, err = status.Normalize([]byte(`{"text":"Processing query…","category":"tool"}`), "engine", now)
	fmt.Println(err)
	// Output:
	// {"category":"engine","timestamp":"2024-01-19T12:00:00.000Z","text":"Processing query…"} <nil>
	// category is "tool", the subject says "engine": leave it out or make both equal (err_code 20004)
}

func ExampleNormalizeHeader() {
	header, err := status.NormalizeHeader(map[string][]string{"Nats-Msg-Id": {"7"}}, status.Normalized{Priority: status.PriorityHigh}, "c1", "engine")
	fmt.Println(header, err)
	_, err = status.NormalizeHeader(map[string][]string{"nats-sequence": {"999"}}, status.Normalized{}, "c1", "engine")
	fmt.Println(err)
	// Output:
	// map[Nats-Msg-Id:[c1.engine.7] Status-Priority:[high]] <nil>
	// header "nats-sequence" is not allowed: of the Nats-* headers a publisher may set only Nats-Msg-Id (err_code 20020)
}

func ExampleMessage() {
	var m status.Message
	err := json.Unmarshal([]byte(`{"category":"engine","text":"Processing query…","timestamp":"2024-01-19T12:00:00Z"}`), &m)
	fmt.Println(m.Category, m.Text, m.Timestamp.Year(), err)
	// Output: engine Processing query… 2024 <nil>
}

func ExampleError() {
	// What a JetStream publish is answered when it is refused.
	answer := []byte(`{"error":{"code":400,"err_code":20003,"description":"unknown category \"enginee\""}}`)
	var refused struct{ Error *status.Error }
	if err := json.Unmarshal(answer, &refused); err != nil {
		panic(err)
	}
	fmt.Println(refused.Error)
	fmt.Println(errors.Is(refused.Error, status.ErrUnknownCategory), refused.Error.Retryable())
	// Output:
	// unknown category "enginee" (err_code 20003)
	// true false
}

func ExampleSubject() {
	fmt.Println(status.Subject("c1", "engine"))
	c, cat, err := status.ParseSubject("status.c1.engine")
	fmt.Println(c, cat, err)
	// Output:
	// status.c1.engine
	// c1 engine <nil>
}

func ExampleUserID_Token() {
	token := status.UserID("ann@example.com").Token()
	fmt.Println(token)
	fmt.Println(status.UserIDFromToken(token))
	// Output:
	// ann=40example=2Ecom
	// ann@example.com <nil>
}
