package directory

// Result says what an import did with one conversation.
type Result int

// What an import does with a conversation.
const (
	Failed    Result = iota // see Outcome.Err
	Created                 // it was not there
	Updated                 // it was there and differed
	Unchanged               // it was there and the same
)

// String is the result in one lower-case word.
func (r Result) String() string {
	switch r {
	case Created:
		return "created"
	case Updated:
		return "updated"
	case Unchanged:
		return "unchanged"
	default:
		return "failed"
	}
}

// Outcome is what became of one conversation of an import.
type Outcome struct {
	Result Result
	Err    error // why it failed, else nil
}
