package desk

import (
	"context"
	"net/http"
	"strings"

	"tocsin.dev/pkg/web"
	"tocsin.dev/services/desk/api"
)

// maxRequest is the largest body of a request, in bytes.
const maxRequest = 1 << 20

// routes puts the API and the console behind sign-in and one cross-origin check.
func (s *Service) routes() (http.Handler, error) {
	apiMux := http.NewServeMux()
	server := api.NewStrictHandlerWithOptions(&apiServer{s}, []api.StrictMiddlewareFunc{requireUser}, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: func(w http.ResponseWriter, r *http.Request, err error) {
			writeProblem(w, r, badRequest(err))
		},
		ResponseErrorHandlerFunc: writeProblem,
	})
	api.HandlerWithOptions(server, api.StdHTTPServerOptions{
		BaseRouter: apiMux,
		ErrorHandlerFunc: func(w http.ResponseWriter, r *http.Request, err error) {
			writeProblem(w, r, badRequest(err))
		},
	})
	apiMux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, web.NewError(http.StatusNotFound, "no_such_operation", "The API has no such operation; see schemas/openapi.yaml."))
	})

	contract, err := loadContract()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", web.Limit(maxRequest, s.sessions.LoadAndSave(s.identify(strangersOut(contract.enforce(apiMux))))))

	s.consoleRoutes(mux)

	protection := http.NewCrossOriginProtection()
	for _, origin := range s.cfg.Origins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, &Forbidden{Why: "the request comes from a page of another site"})
	}))
	return protection.Handler(mux), nil
}

// badRequest says that a request could not be read at all.
func badRequest(err error) error {
	var e *web.Error
	if e = answer(err); e.Status == http.StatusRequestEntityTooLarge {
		return e
	}
	message := strings.TrimPrefix(err.Error(), "can't decode JSON body: ")
	return &web.Error{Status: http.StatusBadRequest, Code: "bad_request", Message: sentence("the request cannot be read: " + message), Err: err}
}

type contextKey int

const (
	userKey contextKey = iota
	addressKey
)

// identify finds out who is asking: by API token if there is one, else by session.
func (s *Service) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), addressKey, r.RemoteAddr)
		if header := r.Header.Get("Authorization"); header != "" {
			token, ok := strings.CutPrefix(header, "Bearer ")
			user, known := s.cfg.Users.ByToken(strings.TrimSpace(token))
			if !ok || !known {
				writeProblem(w, r, ErrSignIn)
				return
			}
			ctx = context.WithValue(ctx, userKey, user)
		} else if user, ok := s.sessionUser(ctx); ok {
			ctx = context.WithValue(ctx, userKey, user)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// strangersOut answers 401 before a stranger learns what a request should look like.
func strangersOut(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who(r.Context()).ID == "" && (r.Method != http.MethodPost || r.URL.Path != "/api/v1/session") {
			writeProblem(w, r, ErrSignIn)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// requireUser lets nobody past who has not signed in, except to sign in.
func requireUser(next api.StrictHandlerFunc, operation string) api.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		if _, ok := ctx.Value(userKey).(User); !ok && operation != "SignIn" {
			return nil, ErrSignIn
		}
		return next(ctx, w, r, request)
	}
}

// who returns the person signed in; requireUser has made sure there is one.
func who(ctx context.Context) User {
	u, _ := ctx.Value(userKey).(User)
	return u
}
