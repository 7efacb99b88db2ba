package mark_test

import (
	"testing"

	"github.com/statuswire/statuswire/internal/mark"
)

const goodRecord = `{"u":"alice","n":"6f9619ff-8b86-4a5b-b42d-00cf4fc964ff","m":{"c1":{"engine":{"e":"d9fdx0sj3k3z","a":120}}}}`

// An acknowledgement of JetStream or a status that was aimed at the stream sets nobody
// back, and neither does a record by another hand.
func TestOnlyWhatIsWrittenHereIsAMark(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		want int
	}{
		"one":                     {goodRecord + "\n", 1},
		"two":                     {goodRecord + "\n" + goodRecord, 2},
		"an acknowledgement":      {`{"stream":"STATUS","seq":7}`, 0},
		"a status":                {`{"category":"engine","text":"hi","u":"alice","n":"6f9619ff-8b86-4a5b-b42d-00cf4fc964ff"}`, 0},
		"a field more":            {`{"u":"alice","n":"6f9619ff-8b86-4a5b-b42d-00cf4fc964ff","m":{"c1":{"engine":{"a":120}}},"x":1}`, 0},
		"a field more inside":     {`{"u":"alice","n":"6f9619ff-8b86-4a5b-b42d-00cf4fc964ff","m":{"c1":{"engine":{"a":120,"x":1}}}}`, 0},
		"a user twice":            {`{"u":"bob","u":"alice","n":"6f9619ff-8b86-4a5b-b42d-00cf4fc964ff"}`, 0},
		"another spelling":        {`{"U":"alice","N":"6f9619ff-8b86-4a5b-b42d-00cf4fc964ff"}`, 0},
		"one among nonsense":      {"nonsense\n" + goodRecord + "\n{}\n", 1},
		"a negative number":       {`{"u":"alice","n":"6f9619ff-8b86-4a5b-b42d-00cf4fc964ff","k":-1}`, 0},
		"a conversation of no id": {`{"u":"alice","n":"6f9619ff-8b86-4a5b-b42d-00cf4fc964ff","m":{"a.b":{"engine":{"a":1}}}}`, 0},
	} {
		n, err := mark.ReadRecords([]byte(c.data))
		if n != c.want {
			t.Errorf("%s: %d records, want %d (%v)", name, n, c.want, err)
		}
	}
}

func FuzzReadRecords(f *testing.F) {
	f.Add([]byte(goodRecord))
	f.Add([]byte(goodRecord + "\n{}\n"))
	f.Add([]byte(`{"u":"\ud800","n":"6f9619ff-8b86-4a5b-b42d-00cf4fc964ff","m":{"c1":{"*":{"s":{"tool":1},"t":-1}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := mark.ReadRecords(data)
		if n == 0 && err == nil && len(data) > 0 {
			t.Errorf("%q: nothing was read, and nothing told", data)
		}
	})
}
