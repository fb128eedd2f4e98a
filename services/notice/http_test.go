package notice

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestABodyIsReadWholeOrRefused(t *testing.T) {
	const limit = 8
	for name, c := range map[string]struct {
		body   string
		length int64 // as the request says; -1 if it does not
		status int   // 0 if it is read
	}{
		"whole":                  {"12345678", 8, 0},
		"empty":                  {"", 0, 0},
		"of unsaid length":       {"12345678", -1, 0},
		"too long and said so":   {"123456789", 9, http.StatusRequestEntityTooLarge},
		"too long and not said":  {"123456789", -1, http.StatusRequestEntityTooLarge},
		"shorter than it said":   {"1234", 8, http.StatusBadRequest},
		"empty of unsaid length": {"", -1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader(c.body)))
			r.ContentLength = c.length
			w := httptest.NewRecorder()
			body := (&Service{}).read(w, r, limit)
			switch {
			case c.status == 0 && (body == nil || string(body) != c.body):
				t.Errorf("read %q, want %q", body, c.body)
			case c.status != 0 && (body != nil || w.Code != c.status):
				t.Errorf("read %q and answered %d, want %d", body, w.Code, c.status)
			}
		})
	}
}

func TestACallbackAtAStoppedServiceIsToBeRepeated(t *testing.T) {
	r := newReceiver(nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	r.run(ctx)
	if err := r.take(&delivery{}); !errors.Is(err, errGone) {
		t.Errorf("taken: %v", err)
	}
}
