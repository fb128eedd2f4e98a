package sandbox

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

//go:embed pages/*.html
var pageFiles embed.FS

// pages are the sandbox's own two pages. They work without scripts.
type pages struct{ list, message *template.Template }

func newPages() (*pages, error) {
	funcs := template.FuncMap{
		"when": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	}
	parse := func(name string) (*template.Template, error) {
		return template.New("frame.html").Funcs(funcs).ParseFS(pageFiles, "pages/frame.html", "pages/"+name)
	}
	list, err := parse("list.html")
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	message, err := parse("message.html")
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	return &pages{list, message}, nil
}

// pageRows is how many messages a page shows.
const pageRows = 50

func (s *Service) page(w http.ResponseWriter, r *http.Request) {
	f, err := readShownFilter(r, pageRows)
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	var found []shownMessage
	more := ""
	if err == nil {
		found, more = s.list(f)
	}
	next := ""
	if more != "" {
		q := url.Values{"before": {more}}
		for _, k := range []string{"channel", "state", "to", "case"} {
			if v := r.URL.Query().Get(k); v != "" {
				q.Set(k, v)
			}
		}
		next = "?" + q.Encode()
	}
	s.record.mu.Lock()
	total := s.record.count
	s.record.mu.Unlock()
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
	}
	s.render(w, s.pages.list, status, map[string]any{
		"Title": "Sandbox messages", "Messages": found, "Next": next, "Total": total, "States": stateNames, "Problem": problem,
		"Channel": f.channel, "State": f.state, "To": f.to, "Case": f.caseID, "Filtered": f.channel+f.state+f.to+f.caseID != "",
		"Newest": r.URL.Query().Get("before") == "", "Faults": s.faults.Load().Profile,
	})
}

func (s *Service) messagePage(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseUint(r.PathValue("id"), 10, 32)
	s.record.mu.Lock()
	if err != nil || n == 0 || n > uint64(s.record.count) {
		s.record.mu.Unlock()
		s.render(w, s.pages.message, http.StatusNotFound, map[string]any{"Title": "No such message"})
		return
	}
	m := s.show(uint32(n - 1))
	s.record.mu.Unlock()
	title := m.Subject
	if title == "" {
		title = "Text message"
	}
	s.render(w, s.pages.message, http.StatusOK, map[string]any{"Title": title, "Message": m})
}

func (s *Service) render(w http.ResponseWriter, t *template.Template, status int, data any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := t.Execute(w, data); err != nil {
		s.log.Debug("write page", "error", err) // the reader went away
	}
}
