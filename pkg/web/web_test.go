package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// ask sends one request through Wrap and returns the answer and the log.
func ask(t *testing.T, h http.Handler, r *http.Request) (*httptest.ResponseRecorder, string) {
	t.Helper()
	var log bytes.Buffer
	w := httptest.NewRecorder()
	Wrap(h, Options{Service: "test", Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}).ServeHTTP(w, r)
	return w, log.String()
}

func readProblem(t *testing.T, body io.Reader) problem {
	t.Helper()
	var p problem
	if err := json.NewDecoder(body).Decode(&p); err != nil {
		t.Fatalf("the answer is no problem document: %v", err)
	}
	return p
}

type input struct {
	Name string `json:"name"`
	Part struct {
		Count int `json:"count"`
	} `json:"part"`
}

func TestBadJSONIsAnsweredWithTheFieldOrThePlace(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in input
		if err := DecodeJSON(w, r, 64, &in); err != nil {
			WriteError(w, r, err)
			return
		}
		WriteJSON(w, r, http.StatusOK, in)
	})
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
		says   string
	}{
		"good":              {`{"name":"x","part":{"count":1}}`, 200, "", ""},
		"unknown field":     {`{"nom":"x"}`, 400, "unknown_field", "«nom»"},
		"wrong type":        {`{"part":{"count":"secret"}}`, 400, "bad_field", "«part.count»"},
		"wrong type at top": {`[1]`, 400, "bad_field", "at the top"},
		"syntax":            {"{\n \"name\": x}", 400, "bad_json", "line 2, column 10"},
		"cut":               {`{"name":"x"`, 400, "bad_json", "too early"},
		"empty":             {``, 400, "bad_json", "empty"},
		"two":               {`{} {}`, 400, "bad_json", "after the end"},
		"large":             {`{"name":"` + strings.Repeat("x", 100) + `"}`, 413, "too_large", "64 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, length := range []string{"declared", "chunked"} {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(c.body))
				r.Header.Set("Content-Type", "application/json; charset=utf-8")
				if length == "chunked" {
					r.ContentLength = -1
				}
				w, _ := ask(t, h, r)
				if w.Code != c.status {
					t.Fatalf("%s: status %d, want %d: %s", length, w.Code, c.status, w.Body)
				}
				if c.code == "" {
					continue
				}
				p := readProblem(t, w.Body)
				if p.Code != c.code || !strings.Contains(p.Detail, c.says) || p.RequestID == "" {
					t.Errorf("%s: %+v, want code %s saying %q", length, p, c.code, c.says)
				}
				if strings.Contains(fmt.Sprint(p), "secret") {
					t.Errorf("the answer repeats a value: %+v", p)
				}
			}
		})
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("a=b"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if w, _ := ask(t, h, r); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form gives %d", w.Code)
	}
}

func TestOneTableTurnsErrorsIntoAnswers(t *testing.T) {
	notFound := errors.New("no such case")
	table := Table{{notFound, 404, "case_unknown", "There is no such case."}}
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"a row":       {fmt.Errorf("load: %w", notFound), 404, "case_unknown"},
		"own answer":  {fmt.Errorf("x: %w", NewError(409, "conflict", "Somebody was faster.")), 409, "conflict"},
		"time-out":    {fmt.Errorf("ask: %w", context.DeadlineExceeded), 504, "timeout"},
		"client gone": {context.Canceled, 499, "client_gone"},
		"too large":   {&http.MaxBytesError{Limit: 7}, 413, "too_large"},
		"the rest":    {errors.New("password=hunter2"), 500, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { table.Write(w, r, c.err) })
			w, log := ask(t, h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			p := readProblem(t, w.Body)
			if w.Code != c.status || p.Code != c.code || p.Status != c.status {
				t.Errorf("answered %d %s, want %d %s", w.Code, p.Code, c.status, c.code)
			}
			if strings.Contains(fmt.Sprint(p), "hunter2") {
				t.Errorf("the caller is told the detail: %+v", p)
			}
			if logged := strings.Contains(log, `"request failed"`); logged != (c.status >= 500) {
				t.Errorf("logged as failure: %v, with status %d", logged, c.status)
			}
		})
	}
}

func TestAPanicIsContainedAndItsValueNotLogged(t *testing.T) {
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("jane@example.org") })
	w, log := ask(t, h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || readProblem(t, w.Body).Code != "internal" {
		t.Errorf("answered %d", w.Code)
	}
	if !strings.Contains(log, "handler panicked") || !strings.Contains(log, "web_test.go") || strings.Contains(log, "jane") {
		t.Errorf("log: %s", log)
	}
}

func TestHalfAnAnswerIsNeverMadeToLookWhole(t *testing.T) {
	srv := httptest.NewServer(Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush() //nolint:forcetypeassert // fails the test
		panic("now")
	}), Options{Log: quiet()}))
	defer srv.Close()
	resp, err := http.Get(srv.URL) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("read %q to a clean end", body)
	}
}

func TestEveryAnswerCarriesSafeHeadersAndARequestID(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, RequestID(r.Context()))
	})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("X-Request-Id", "bad\nid")
	w, _ := ask(t, h, r)
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
		"X-Content-Type-Options":  "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Cache-Control": "max-age=60", "X-Request-Id": w.Body.String(),
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(w.Body.String()) != 36 {
		t.Errorf("request id %q, want a fresh one", w.Body)
	}
	r.Header.Set("X-Request-Id", "abc-12345")
	if w, _ := ask(t, h, r); w.Body.String() != "abc-12345" {
		t.Errorf("request id %q, want the caller's", w.Body)
	}
}

func TestAContentSecurityPolicyAllowsOnlyWhatIsListed(t *testing.T) {
	got := CSP{Script: []string{"'self'"}, Form: []string{"'self'"}}.String()
	if want := "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; script-src 'self'; form-action 'self'"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	err = Server(t.Context(), addr, http.NotFoundHandler(), quiet())
	if !errors.Is(err, ErrPortInUse) || !strings.Contains(err.Error(), "port "+port+" is taken") {
		t.Errorf("error = %v, want one that names port %s", err, port)
	}
}

func TestAStopWaitsForRequestsInWorkAndTellsStreams(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	entered := make(chan struct{}, 2)
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /work", func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		if r.Context().Err() != nil {
			t.Error("a request in work was cancelled by the stop")
		}
		_, _ = io.WriteString(w, "done")
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-Stopping(r.Context())
		_, _ = io.WriteString(w, "bye")
	})
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, ln, mux, quiet()) }()
	answers := make(chan string, 2)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/work", "/stream"} {
		go func() {
			resp, err := client.Get("http://" + ln.Addr().String() + path) //nolint:noctx // a test
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			answers <- string(body)
		}()
	}
	<-entered
	<-entered
	stop()
	if got := <-answers; got != "bye" {
		t.Errorf("the stream ended with %q", got)
	}
	close(release)
	if got := <-answers; got != "done" {
		t.Errorf("the request in work ended with %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestAStopIsBoundedEvenIfARequestHangs(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	entered, left := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(left)
	})
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, ln, h, quiet(), 10*time.Millisecond) }()
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if resp, err := client.Get("http://" + ln.Addr().String()); err == nil { //nolint:noctx // a test
			_ = resp.Body.Close()
		}
	}()
	<-entered
	stop()
	<-left
	if err := <-ended; err != nil {
		t.Errorf("Serve = %v", err)
	}
}
