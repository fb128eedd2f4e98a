package bustest_test

import (
	"testing"

	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/event"
)

func TestAServerStartsWithEveryServiceConnected(t *testing.T) {
	srv := bustest.Start(t)
	for _, s := range event.Services() {
		srv.Connect(t, s)
	}
}

func BenchmarkStart(b *testing.B) {
	for range b.N {
		bustest.Start(b).Close()
	}
}
