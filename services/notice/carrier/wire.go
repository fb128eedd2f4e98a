package carrier

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Wire watches one request to know whether any of its body can have left.
type Wire struct{ headers atomic.Bool }

// Watch returns a context under which a request reports to the Wire.
//
// net/http writes the header first and calls WroteHeaders before the first
// byte of the body; when a request fails, its connection is closed before the
// caller learns of it. So if WroteHeaders was not called by then, the vendor
// never had the body and cannot have acted on it.
func Watch(ctx context.Context) (context.Context, *Wire) {
	w := &Wire{}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { w.headers.Store(true) }}), w
}

// Lost classifies a request that got no answer: NotSent if its body provably
// never left, else InDoubt.
func (w *Wire) Lost(err error) Answer { return Unanswered(w.headers.Load(), err) }

// Unanswered classifies a request that got no answer, by whether any of its
// body can have left. Of err only the kind is told: errors about an answer that
// cannot be read quote it, and it may repeat whom the request was about.
func Unanswered(left bool, err error) Answer {
	if !left {
		return Answer{Class: NotSent, Detail: "no connection: " + cause(err, root(err).Error())}
	}
	return Answer{Class: InDoubt, Detail: "no answer: " + cause(err, "connection closed, or not an answer of HTTP")}
}

// cause tells a time-out and what the system said of a connection; otherwise it
// says other.
func cause(err error, other string) string {
	var slow interface{ Timeout() bool }
	var system syscall.Errno
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return "time-out"
	case errors.As(err, &system):
		return system.Error()
	}
	return other
}

// root is the innermost error: those around it carry addresses.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// Status classifies an HTTP answer by its status alone; header gives the first
// value of a header by its name. Vendors refine it.
func Status(status int, header func(string) string, now time.Time) Answer {
	a := Answer{Status: status, Detail: "HTTP " + strconv.Itoa(status)}
	switch {
	case status >= 200 && status < 300:
		a.Class = Accepted
	case status == http.StatusTooManyRequests:
		a.Class, a.RetryAfter = Slow, RetryAfter(header, now)
	case status == http.StatusUnauthorized, status == http.StatusPaymentRequired, status == http.StatusForbidden:
		a.Class = Account
	case status == http.StatusRequestTimeout, status >= 500:
		a.Class = InDoubt
	case status >= 400:
		a.Class = Refused
	default: // redirects are not followed; nothing says what became of the request
		a.Class = InDoubt
	}
	return a
}

// RetryAfter reads Retry-After (seconds or a date) or X-RateLimit-Reset (unix seconds).
func RetryAfter(header func(string) string, now time.Time) time.Duration {
	if v := header("Retry-After"); v != "" {
		if s, err := strconv.Atoi(v); err == nil && s >= 0 {
			return time.Duration(s) * time.Second
		}
		if t, err := http.ParseTime(v); err == nil {
			return max(0, t.Sub(now))
		}
	}
	if s, err := strconv.ParseInt(header("X-RateLimit-Reset"), 10, 64); err == nil {
		return max(0, min(time.Unix(s, 0).Sub(now), time.Hour))
	}
	return 0
}

// Client returns an HTTP client for one vendor: at most conns connections, all
// kept, no redirects (a repeated POST is a second message), and HTTP/1.1 only,
// where «the body never left» can be known for certain. One deadline bounds a
// whole request; a second for its header alone would only cost a timer.
func Client(conns int, timeout time.Duration, roots *tls.Config) *http.Client {
	var p http.Protocols
	p.SetHTTP1(true)
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, Protocols: &p, TLSClientConfig: roots,
			MaxConnsPerHost: conns, MaxIdleConns: conns, MaxIdleConnsPerHost: conns, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second, WriteBufferSize: 64 << 10,
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
