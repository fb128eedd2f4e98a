package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkWrap is what Wrap and Contain add to a request.
func BenchmarkWrap(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for name, around := range map[string]http.Handler{"wrap": Wrap(h, Options{}), "contain": Contain(h, slog.New(slog.DiscardHandler))} {
		b.Run(name, func(b *testing.B) {
			req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/receipts/twilio", nil)
			b.ReportAllocs()
			for b.Loop() {
				around.ServeHTTP(&nowhere{header: http.Header{}}, req)
			}
		})
	}
}

type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
