package app

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/statuswire/statuswire/status"
)

// beat is one status of a simulated run, and the pause before it.
type beat struct {
	after   time.Duration
	message status.Message
}

// agentRun is what an agent that answers a question might report: turn by turn
// the same course, some four statuses a second at its busiest.
func agentRun(turn int) []beat {
	questions := [...]string{
		"Which of our regions had the most failed payments last week?",
		"Summarise the open incidents for the morning meeting",
		"Draft a reply to the customer about the delayed order",
	}
	question := questions[turn%len(questions)]
	run := []beat{
		say(900*time.Millisecond, "info", "Question received: "+question),
		say(300*time.Millisecond, "engine", "Planning the work"),
		say(700*time.Millisecond, "workflow", "Plan ready: search, read, compare, write"),
		say(300*time.Millisecond, "tool", "Searching the knowledge base"),
	}
	const documents = 8
	for i := 1; i <= documents; i++ {
		b := say(350*time.Millisecond, "progress", fmt.Sprintf("Reading document %d of %d", i, documents))
		b.message.Metadata = progressOf(i, documents)
		run = append(run, b)
	}
	if turn%3 == 0 {
		failed := say(400*time.Millisecond, "error", "The metrics service did not answer: trying once more")
		failed.message.Priority = status.PriorityHigh
		run = append(run, failed, say(900*time.Millisecond, "tool", "The metrics service answered at the second try"))
	}
	return append(run,
		say(600*time.Millisecond, "engine", "Writing the answer"),
		say(1200*time.Millisecond, "workflow", "Answer checked against its sources"),
		say(400*time.Millisecond, "info", fmt.Sprintf("Done: run %d", turn)),
	)
}

func say(after time.Duration, category status.Category, text string) beat {
	return beat{after: after, message: status.Message{Category: category, Text: text}}
}

// progressOf is the metadata from which the page draws a progress bar.
func progressOf(step, total int) json.RawMessage {
	b, err := json.Marshal(map[string]int{"step": step, "total_steps": total})
	if err != nil {
		panic(err) // two integers can always be encoded
	}
	return b
}
