package audit

import (
	"context"
	"encoding/json"
	"fmt"
)

// Bounds of what a record keeps of its strings.
const (
	MaxNameBytes = maxNameBytes
	MaxTextBytes = maxTextBytes
)

// NewWith makes a Recorder whose records go to write, for clocks that the network
// does not know.
func NewWith(write func(Record) error, opts Options) *Recorder {
	return newRecorder(testWriter(write), opts)
}

func testWriter(write func(Record) error) writer {
	return func(_ context.Context, subject, _ string, data []byte) error {
		var r Record
		if err := json.Unmarshal(data, &r); err != nil {
			return err
		}
		if subject != r.Kind.subject() {
			return fmt.Errorf("a record of kind %q on %q", r.Kind, subject)
		}
		return write(r)
	}
}

// Cost is what the table reckons for the record of the event.
func Cost(e Event, node string) int {
	t := newTable("", Budget{}, Options{Node: node})
	return t.cost(recordOf(e.clean(e.Time)))
}

// CostOfSum is what one record of what is left out takes at most.
func CostOfSum() int {
	t := newTable("records_of_strangers", Budget{}, Options{})
	return t.cost(Record{Kind: KindOverflow, Limit: t.name, Reason: reasonCounted})
}

// Encoded is the record of the event as it goes to the stream.
func Encoded(e Event) []byte {
	text, err := recordOf(e.clean(e.Time)).encode()
	if err != nil {
		panic(err)
	}
	return text
}
