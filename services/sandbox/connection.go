package sandbox

import (
	"context"
	"net/http/httptrace"
)

// watchConnection sets connected once a request has a connection, which tells a failure to connect
// from one to answer. The flag may be read after the request returned.
func watchConnection(ctx context.Context, connected *bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { *connected = true }})
}
