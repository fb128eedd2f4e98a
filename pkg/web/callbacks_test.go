package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// safeLog is a log that several goroutines write.
type safeLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// bothServers runs f against callbacks beside everything else, and on an
// address of their own: nobody who calls shall see a difference.
func bothServers(t *testing.T, answer func(context.Context, *Callback) Reply, f func(t *testing.T, url string, log *safeLog)) {
	t.Helper()
	const maxBody = 1 << 10
	t.Run("beside", func(t *testing.T) {
		var log safeLog
		srv := httptest.NewUnstartedServer(&Callbacks{Answer: answer, MaxBody: maxBody, Log: slog.New(slog.NewTextHandler(&log, nil))})
		srv.Config.MaxHeaderBytes = MaxHeaderBytes
		srv.Start()
		defer srv.Close()
		f(t, srv.URL, &log)
	})
	t.Run("alone", func(t *testing.T) {
		var log safeLog
		ln, err := Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- (&Callbacks{Answer: answer, MaxBody: maxBody, Log: slog.New(slog.NewTextHandler(&log, nil))}).Serve(ctx, ln)
		}()
		f(t, "http://"+ln.Addr().String(), &log)
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
}

// hidden is a reader of no known length.
type hidden struct{ io.Reader }

func TestACallbackIsAnsweredTheSameByBothServers(t *testing.T) {
	answer := func(ctx context.Context, q *Callback) Reply {
		if ctx.Err() != nil {
			return Reply{http.StatusServiceUnavailable, "stopped"}
		}
		switch q.Path {
		case "/said":
			return Reply{http.StatusOK, q.Query + q.Header("X-Signature") + " " + q.Header("x-signature") + " " + q.Header("Absent") + string(q.Body)}
		case "/taken":
			return Reply{Status: http.StatusNoContent}
		case "/token":
			return Reply{http.StatusUnauthorized, "wrong token"}
		case "/panic":
			panic("jane@example.org")
		}
		return Reply{http.StatusNotFound, "nothing here"}
	}
	const id = "abc-12345"
	bothServers(t, answer, func(t *testing.T, url string, log *safeLog) {
		for name, c := range map[string]struct {
			method, path string
			body         io.Reader
			status       int
			text         string
			headers      map[string]string
		}{
			"what was said arrives":     {"POST", "/said", strings.NewReader("a=1&b=%20"), 200, "sig sig a=1&b=%20", nil},
			"the query as it came":      {"POST", "/said?a=%20b&c=+", nil, 200, "a=%20b&c=+sig sig ", nil},
			"of unsaid length":          {"POST", "/said", hidden{strings.NewReader("12345678")}, 200, "sig sig 12345678", nil},
			"the query is not the path": {"POST", "/taken?x=/said", nil, 204, "", map[string]string{"X-Request-Id": ""}},
			"an encoded path":           {"POST", "/t%61ken", nil, 204, "", nil},
			"a refusal has the id":      {"POST", "/else", nil, 404, "nothing here", map[string]string{"X-Request-Id": id, "X-Content-Type-Options": "nosniff", "Content-Type": "text/plain; charset=utf-8"}},
			"a token is asked for":      {"POST", "/token", nil, 401, "wrong token", map[string]string{"WWW-Authenticate": "Bearer"}},
			"not posted":                {"GET", "/taken", nil, 405, "callbacks are posted", map[string]string{"Allow": "POST"}},
			"as long as allowed":        {"POST", "/taken", strings.NewReader(strings.Repeat("x", 1<<10)), 204, "", nil},
			"too long and said so":      {"POST", "/taken", strings.NewReader(strings.Repeat("x", 1<<10+1)), 413, "body too large", map[string]string{"X-Content-Type-Options": "nosniff"}},
			"too long and not said":     {"POST", "/taken", hidden{strings.NewReader(strings.Repeat("x", 1<<10+1))}, 413, "body too large", nil},
			"a panic":                   {"POST", "/panic", nil, 500, "something went wrong here", map[string]string{"X-Request-Id": id}},
		} {
			req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, c.body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Signature", "sig")
			req.Header.Set("X-Request-Id", id)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != c.status || string(text) != c.text || err != nil {
				t.Errorf("%s: answered %d %q, %v; want %d %q", name, resp.StatusCode, text, err, c.status, c.text)
			}
			for header, want := range c.headers {
				if got := resp.Header.Get(header); got != want {
					t.Errorf("%s: %s is %q, want %q", name, header, got, want)
				}
			}
		}
		if s := log.String(); !strings.Contains(s, "handler panicked") || !strings.Contains(s, id) || !strings.Contains(s, "callbacks_test.go") || strings.Contains(s, "jane") {
			t.Errorf("log of the panic: %s", s)
		}
	})
}

// A provider that hangs up has still told us something.
func TestACallbackIsTakenThoughItsCallerHangsUp(t *testing.T) {
	began, free, taken := make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
	c := &Callbacks{MaxBody: 10, Log: quiet(), Answer: func(ctx context.Context, _ *Callback) Reply {
		began <- struct{}{}
		<-free
		taken <- ctx.Err()
		return Reply{Status: http.StatusNoContent}
	}}
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx, ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
	<-began
	_ = conn.Close()
	stop() // and while the server stops
	close(free)
	if err := <-taken; err != nil {
		t.Errorf("its context said %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestACallbackThatCannotBeReadIsRefused(t *testing.T) {
	answered := func(context.Context, *Callback) Reply { return Reply{Status: http.StatusNoContent} }
	bothServers(t, answered, func(t *testing.T, url string, _ *safeLog) {
		for name, raw := range map[string]string{
			"no request":            "hello\r\n\r\n",
			"two lengths":           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
			"a length with a sign":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nok",
			"a header with a break": "POST / HTTP/1.1\r\nHost: x\r\nX-A\r\n: b\r\n\r\n",
			"headers without end":   "POST / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(conn, raw)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if resp.StatusCode < 400 || resp.StatusCode >= 500 {
				t.Errorf("%s: answered %d", name, resp.StatusCode)
			}
			_ = conn.Close()
		}
	})
}

// BenchmarkCallback is what a callback over a kept connection costs at both
// servers, with the little that its caller needs: processor time for each.
func BenchmarkCallback(b *testing.B) {
	c := &Callbacks{MaxBody: 1 << 10, Log: quiet(), Answer: func(context.Context, *Callback) Reply { return Reply{Status: http.StatusNoContent} }}
	for name, serve := range map[string]func(context.Context, net.Listener) error{
		"beside": func(ctx context.Context, ln net.Listener) error { return Serve(ctx, ln, c, c.Log) },
		"alone":  c.Serve,
	} {
		b.Run(name, func(b *testing.B) {
			ln, err := Listen(b.Context(), "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- serve(ctx, ln) }()
			b.SetParallelism(50)
			began := cpuTime(b)
			b.RunParallel(func(p *testing.PB) { callAgain(b, ln.Addr().String(), p) })
			b.ReportMetric(float64((cpuTime(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
			stop()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
}

// callAgain posts the callback of a text message on one connection, again and again.
func callAgain(b *testing.B, address string, p *testing.PB) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	body := strings.Repeat("MessageStatus=delivered&", 10)
	said := fmt.Appendf(nil, "POST /v1/receipts/twilio/cases/2026-001/AAAAAAAAAAAAAAAAAAAAAA/1.0 HTTP/1.1\r\nHost: tocsin.example.org\r\nUser-Agent: TwilioProxy/1.1\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nX-Twilio-Signature: 0123456789012345678901234567\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	heard := make([]byte, 512)
	for p.Next() {
		if _, err := conn.Write(said); err != nil {
			b.Error(err)
			return
		}
		if n, err := conn.Read(heard); err != nil || !strings.HasPrefix(string(heard[:n]), "HTTP/1.1 204") {
			b.Errorf("answered %q, %v", heard[:n], err)
			return
		}
	}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
