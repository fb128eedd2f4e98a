package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"

	"github.com/valyala/fasthttp"
)

// Callbacks takes what machines post by the hundred thousand and sign each.
// It is served beside everything else (ServeHTTP), or on an address of its own
// (Serve), where one costs half as much and nothing else can be reached.
type Callbacks struct {
	// Answer sees to its own spans and metrics.
	Answer func(context.Context, *Callback) Reply
	// MaxBody is the most bytes of a body.
	MaxBody int64
	Log     *slog.Logger
}

// Callback is what one request says.
type Callback struct {
	Path string
	// Query is what follows the question mark, as it came.
	Query string
	// Header returns the first value of a header, or "".
	Header func(name string) string
	// Body belongs to the server again when the callback has been answered.
	Body []byte
}

// Reply is the answer to a callback: a status below 300, or else what is wrong,
// for the people at the other end.
type Reply struct {
	Status int
	Text   string
}

// The answers that are the server's own.
var (
	replyNotPost  = Reply{http.StatusMethodNotAllowed, "callbacks are posted"}         //nolint:gochecknoglobals // a constant
	replyTooLarge = Reply{http.StatusRequestEntityTooLarge, "body too large"}          //nolint:gochecknoglobals // a constant
	replyCutOff   = Reply{http.StatusBadRequest, "body cut off"}                       //nolint:gochecknoglobals // a constant
	replyPanicked = Reply{http.StatusInternalServerError, "something went wrong here"} //nolint:gochecknoglobals // a constant
)

// answer returns what reply does and calls set for the headers that go with a
// refusal. A panic is logged without its value, which may hold somebody's data.
func (c *Callbacks) answer(ctx context.Context, header func(string) string, set func(name, value string), reply func() Reply) (r Reply) {
	defer func() {
		p := recover()
		if p != nil {
			r = replyPanicked
		}
		if r.Status < http.StatusBadRequest {
			return
		}
		id := requestID(header(requestIDHeader))
		if p != nil {
			c.Log.ErrorContext(ctx, "handler panicked", "request_id", id, "kind", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
		r.headers(id, set)
	}()
	return reply()
}

// headers calls set for the headers of a refusal.
func (r Reply) headers(id string, set func(name, value string)) {
	set(requestIDHeader, id)
	set("Content-Type", "text/plain; charset=utf-8")
	set("X-Content-Type-Options", "nosniff")
	switch r.Status {
	case http.StatusUnauthorized:
		set("WWW-Authenticate", "Bearer")
	case http.StatusMethodNotAllowed:
		set("Allow", http.MethodPost)
	case http.StatusRequestEntityTooLarge:
		set("Connection", "close") // do not read on
	}
}

// ServeHTTP implements http.Handler.
func (c *Callbacks) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r := c.answer(q.Context(), q.Header.Get, w.Header().Set, func() Reply {
		if q.Method != http.MethodPost {
			return replyNotPost
		}
		body, err := ReadBody(w, q, c.MaxBody)
		switch {
		case errors.As(err, new(*http.MaxBytesError)):
			return replyTooLarge
		case err != nil:
			return replyCutOff
		}
		return c.Answer(q.Context(), &Callback{Path: q.URL.Path, Query: q.URL.RawQuery, Header: q.Header.Get, Body: body})
	})
	w.WriteHeader(r.Status)
	_, _ = io.WriteString(w, r.Text) // the caller is gone if this fails
}

// Serve serves callbacks alone on ln until ctx ends, and stops as the function
// Serve does. net/http starts a goroutine for every request, to see whether the
// caller hangs up; a callback is taken in whatever its caller does, and
// fasthttp does without.
func (c *Callbacks) Serve(ctx context.Context, ln net.Listener) error {
	base := context.WithoutCancel(ctx)
	srv := &fasthttp.Server{
		Handler:               func(q *fasthttp.RequestCtx) { c.serve(base, q) },
		ErrorHandler:          c.unreadable,
		ReadTimeout:           ReadTimeout,
		WriteTimeout:          WriteTimeout,
		IdleTimeout:           IdleTimeout,
		ReadBufferSize:        callbackHeaders,
		MaxRequestBodySize:    int(c.MaxBody),
		NoDefaultServerHeader: true, NoDefaultContentType: true, NoDefaultDate: true,
		DisablePreParseMultipartForm: true, // the signature is about what was posted
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		Logger:                       slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve callbacks on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(base, Grace)
	defer cancel()
	err := srv.ShutdownWithContext(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		c.Log.WarnContext(ctx, "callbacks cut off at stop", "grace", Grace.String())
		err = nil
	}
	return err
}

// callbackHeaders is the most bytes of the headers of a callback. Each
// connection has a buffer of this size.
const callbackHeaders = 8 << 10

func (c *Callbacks) serve(base context.Context, q *fasthttp.RequestCtx) {
	header := func(name string) string { return string(q.Request.Header.Peek(name)) }
	r := c.answer(base, header, q.Response.Header.Set, func() Reply {
		if !q.IsPost() {
			return replyNotPost
		}
		return c.Answer(base, &Callback{Path: string(q.Path()), Query: string(q.URI().QueryString()), Header: header, Body: q.PostBody()})
	})
	q.SetStatusCode(r.Status)
	q.SetBodyString(r.Text)
}

// unreadable answers what cannot be read as a request; the connection is closed.
func (c *Callbacks) unreadable(q *fasthttp.RequestCtx, err error) {
	r := replyCutOff
	var timeout net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		r = replyTooLarge
	case errors.As(err, new(*fasthttp.ErrSmallBuffer)):
		r = Reply{http.StatusRequestHeaderFieldsTooLarge, "headers too large"}
	case errors.As(err, &timeout) && timeout.Timeout():
		r = Reply{http.StatusRequestTimeout, "the request took too long"}
	}
	r.headers(requestID(""), q.Response.Header.Set)
	q.SetStatusCode(r.Status)
	q.SetBodyString(r.Text)
}
