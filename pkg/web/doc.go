// Package web is how every service of Tocsin serves HTTP: a server with
// time-outs and a bounded, graceful stop; a wrapper that gives each request an
// id, a span, security headers and a net for panics; bodies with a limit; and
// one table that turns errors into status, code and message.
//
// Callbacks are apart: machines post them by the hundred thousand, and they can
// have an address of their own, which fasthttp serves.
//
// Routing is net/http's ServeMux. Nothing here logs a path, a query or a body:
// they may say something about people. The route's pattern is logged instead.
package web
