package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Handler serves both look-alikes and the sandbox's own pages. Mount it at the root of a listener
// of its own: the paths are the vendors'.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	s.sendGridRoutes(mux)
	s.twilioRoutes(mux)
	s.ownRoutes(mux)
	return mux
}

// pause holds a request back. It returns false when the caller or the sandbox went away meanwhile;
// then nothing has been accepted.
func (s *Service) pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	case <-s.closed:
		return false
	}
}

// hangUp closes the connection without an answer.
func (s *Service) hangUp(w http.ResponseWriter) {
	s.stats.dropped.Add(1)
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close() // the other side sees the end either way
		return
	}
	panic(http.ErrAbortHandler) // HTTP/2, or a wrapper that hides the connection
}

// answer applies the faults that come after accepting. It returns false when the caller has been
// answered, or cut off, already.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, f *faulty, fault answer) bool {
	switch fault {
	case acceptThenDrop:
		s.hangUp(w)
		return false
	case acceptThenError:
		s.serverError(w, f)
		return false
	case answerLate:
		s.stats.late.Add(1)
		return s.pause(r, f.late())
	}
	return true
}

func (s *Service) rateLimited(w http.ResponseWriter, f *faulty) {
	s.stats.rateLimited.Add(1)
	after := max(f.RetryAfter, 1)
	h := w.Header()
	h.Set("X-RateLimit-Limit", "600")
	h.Set("X-RateLimit-Remaining", "0")
	h.Set("X-RateLimit-Reset", strconv.FormatInt(s.cfg.Now().Unix()+int64(after), 10))
	h.Set("Retry-After", strconv.Itoa(after))
}

// serverError answers what a gateway in front of a vendor answers: 500 in the vendor's own form,
// the others as an HTML page.
func (s *Service) serverError(w http.ResponseWriter, f *faulty) {
	s.stats.errored.Add(1)
	status := f.status()
	if status == http.StatusInternalServerError {
		writeJSON(w, status, map[string]any{
			"errors": []mailError{{Message: "internal server error"}},             // SendGrid reads these
			"code":   20500, "message": "Internal Server Error", "status": status, // and Twilio these
			"more_info": moreInfo(20500),
		})
		return
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("<html><head><title>" + http.StatusText(status) + "</title></head><body><h1>" + http.StatusText(status) + "</h1></body></html>\n"))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
