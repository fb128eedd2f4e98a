package carrier

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
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
// body can have left.
func Unanswered(left bool, err error) Answer {
	if !left {
		return Answer{Class: NotSent, Detail: "no connection: " + plainCause(err)}
	}
	return Answer{Class: InDoubt, Detail: "no answer: " + plainCause(err)}
}

// plainCause shortens a transport error to its kind; the full text could carry a URL.
func plainCause(err error) string {
	type timeout interface{ Timeout() bool }
	for e := err; e != nil; {
		if t, ok := e.(timeout); ok && t.Timeout() {
			return "time-out"
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			return e.Error()
		}
		e = u.Unwrap()
	}
	return "unknown cause"
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
