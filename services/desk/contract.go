package desk

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"tocsin.dev/pkg/web"
	"tocsin.dev/schemas"
)

// contract is schemas/openapi.yaml, against which every request to the API is
// held: unknown fields, missing ones, lengths, ranges and words. The generated
// server checks none of these.
type contract struct{ router routers.Router }

func loadContract() (*contract, error) {
	data, err := schemas.FS.ReadFile("openapi.yaml")
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("load schemas/openapi.yaml: %w", err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("read the paths of schemas/openapi.yaml: %w", err)
	}
	return &contract{router}, nil
}

// input finds the operation of a request.
func (c *contract) input(r *http.Request) (*openapi3filter.RequestValidationInput, error) {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return nil, err
	}
	return &openapi3filter.RequestValidationInput{Request: r, Route: route, PathParams: params, Options: &openapi3filter.Options{
		MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}}, nil
}

// enforce refuses requests that the contract does not allow. Paths it does not
// know go on to the router, which answers 404 or 405.
func (c *contract) enforce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		input, err := c.input(r)
		if err == nil {
			if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
				writeProblem(w, r, contractError(err))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// contractError says which fields break the contract. It never repeats a value.
func contractError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	bad := &Invalid{}
	collect(bad, "", err)
	if len(bad.Fields) == 0 {
		return &web.Error{Status: http.StatusBadRequest, Code: "bad_request", Message: "The request cannot be read: is the body JSON, sent as application/json?", Err: err}
	}
	return bad
}

func collect(bad *Invalid, at string, err error) {
	switch e := err.(type) { //nolint:errorlint // a tree of errors is walked here
	case openapi3.MultiError:
		for _, one := range e {
			collect(bad, at, one)
		}
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			at = e.Parameter.Name
		}
		if e.Err == nil {
			if at != "" {
				bad.add(at, "%s", sentence(e.Reason))
			}
			return
		}
		before := len(bad.Fields)
		collect(bad, at, e.Err)
		if len(bad.Fields) == before && at != "" {
			bad.add(at, "This value does not fit")
		}
	case *openapi3.SchemaError:
		pointer, reason := e.JSONPointer(), e.Reason
		if m := unsupported.FindStringSubmatch(reason); m != nil {
			pointer, reason = append(slices.Clone(pointer), m[1]), "this field is not known; check its spelling"
		}
		bad.add(fieldPath(at, pointer), "%s", sentence(reason))
	}
}

// unsupported is how the validator names a field that the contract does not have.
var unsupported = regexp.MustCompile(`^property "([^"]{1,100})" is unsupported$`)

// fieldPath writes a JSON pointer as people write paths: exposures[0].from.
func fieldPath(at string, pointer []string) string {
	var b strings.Builder
	b.WriteString(at)
	for _, p := range pointer {
		if _, err := strconv.Atoi(p); err == nil {
			b.WriteString("[" + p + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(p)
	}
	if b.Len() == 0 {
		return "body"
	}
	return b.String()
}
