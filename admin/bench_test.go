package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/admin"
)

// A file of 100,000 lines through the client, and the whole list back.
func BenchmarkImportAndList(b *testing.B) {
	const many = 100_000
	var file strings.Builder
	for i := range many {
		fmt.Fprintf(&file, `{"id":"conversation-%06d","owner":"user%d@example.com","members":["user%d@example.com"]}`+"\n", i, i%20_000, (i+1)%20_000)
	}
	for b.Loop() {
		b.StopTimer()
		h := start(b, admin.Options{})
		b.StartTimer()
		begin := time.Now()
		sum, err := h.client.Import(b.Context(), strings.NewReader(file.String()), nil)
		must(b, err)
		if sum.Created != many {
			b.Fatalf("%+v", sum)
		}
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/import")
		begin = time.Now()
		list, err := h.client.List(b.Context(), "")
		must(b, err)
		if len(list) != many {
			b.Fatal(len(list))
		}
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/list")
	}
}
