package twilio

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin.dev/services/notice/carrier"
)

var message = SMS{To: "+447700900001", From: "+447700900000", Body: "x", Attempt: 1}

func TestWhatALostConnectionProves(t *testing.T) {
	var begun atomic.Int64
	hangUp := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { begun.Add(1); panic(http.ErrAbortHandler) })
	plain, untrusted := httptest.NewServer(hangUp), httptest.NewTLSServer(hangUp)
	defer plain.Close()
	defer untrusted.Close()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		what, host string
		ctx        context.Context
		want       carrier.Class
		begun      int64
	}{
		{"hung up after the request", plain.URL, t.Context(), carrier.InDoubt, 1}, // once: a repetition would be a second message
		{"refused connection", "http://" + nobody.Addr().String(), t.Context(), carrier.NotSent, 0},
		{"a certificate nobody vouches for", untrusted.URL, t.Context(), carrier.NotSent, 0},
		{"context that has ended", plain.URL, ended, carrier.NotSent, 0},
	} {
		begun.Store(0)
		k, err := New(Config{AccountSID: sid, AuthToken: "token", Host: c.host, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if a := k.Send(c.ctx, message); a.Class != c.want || begun.Load() != c.begun {
			t.Errorf("%s: %+v after %d requests, want %v after %d", c.what, a, begun.Load(), c.want, c.begun)
		}
	}
}

func TestAnAnswerIsAwaitedNoLongerThanTheTimeOut(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	trusted := &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12} //nolint:forcetypeassert // httptest's own
	c, err := New(Config{AccountSID: sid, AuthToken: "token", Host: srv.URL, TLS: trusted, Timeout: 300 * time.Millisecond, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Send(t.Context(), message); a.Class != carrier.InDoubt {
		t.Errorf("without an answer: %+v, want in doubt", a)
	}
}

func TestAnAnswerThatCannotBeReadIsNotQuoted(t *testing.T) {
	for _, answer := range []string{
		"+447700900001 200 OK\r\n\r\n", "HTTP/1.1 +447700900001\r\n\r\n", "HTTP/1.1 200 OK\r\n+447700900001\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: +447700900001\r\n\r\n", "HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n+447700900001",
	} {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		})
		if a := c.Send(t.Context(), message); a.Class != carrier.InDoubt || strings.Contains(a.Detail, "44") {
			t.Errorf("%q: %+v, want in doubt without a number", answer, a)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"sid":"SM00000000000000000000000000000001","status":"queued"}`))
	}))
	defer srv.Close()
	c, err := New(Config{AccountSID: sid, AuthToken: "token", Host: srv.URL, Callback: "https://t.example/v1/receipts/twilio", Conns: 64, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a := c.Send(b.Context(), message); a.Class != carrier.Accepted {
				b.Errorf("%+v", a)
				return
			}
		}
	})
}
