package notice

import (
	"testing"
	"time"
)

// BenchmarkEmail plays a whole email sending in this process, sandbox, broker
// and scope included; the figure per notice is an upper bound of what notice costs.
func BenchmarkEmail(b *testing.B) { benchmarkSending(b, "email") }

// BenchmarkSMS is the same for text messages.
func BenchmarkSMS(b *testing.B) { benchmarkSending(b, "sms") }

func benchmarkSending(b *testing.B, ch string) {
	r := newRig(b, testPeople(b.N), nil)
	r.start("one")
	r.prepare()
	b.ResetTimer()
	r.approveAndOrder(ch)
	tally := r.completed(10 * time.Minute)
	b.StopTimer()
	if tally.Told != int64(b.N) {
		b.Fatalf("tally = %+v, want %d told", tally, b.N)
	}
}
