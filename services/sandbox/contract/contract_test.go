package contract

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"tocsin.dev/services/sandbox"
)

func TestTheSandboxKeepsTheVendorsPublishedContracts(t *testing.T) {
	all, err := Specs()
	if err != nil {
		t.Fatal(err)
	}
	docs := make(map[string]*openapi3.T)
	for name, spec := range all {
		if docs[name], err = openapi3.NewLoader().LoadFromData(spec); err != nil {
			t.Fatalf("load %s: %v", name, err)
		}
	}
	s, err := sandbox.New(sandbox.Config{Now: time.Now, SendGridKey: Key, TwilioAccountSID: SID, TwilioAuthToken: Token, StepDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	err = Play(Exchanges(time.Now()), func(Exchange) string { return server.URL }, func(x Exchange, req *http.Request, resp *http.Response, answer []byte) error {
		req.URL = &url.URL{Path: req.URL.Path, RawQuery: req.URL.RawQuery}
		route, params, err := find(docs[x.Spec], req)
		if err != nil {
			return err
		}
		in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil && !x.Breaks {
			return err
		} else if err == nil && x.Breaks && !x.Anonymous {
			t.Errorf("%s: the request was to break the contract and does not", x.Name)
		}
		return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(answer)), Options: options,
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// find is the operation of a request. The routers of kin-openapi either need another library or do
// not know a parameter with an ending, as Twilio's {Sid}.json.
func find(doc *openapi3.T, req *http.Request) (*routers.Route, map[string]string, error) {
	for template, item := range doc.Paths.Map() {
		var names []string
		pattern := regexp.MustCompile(`\{[^}]+\}`).ReplaceAllStringFunc(template, func(name string) string {
			names = append(names, strings.Trim(name, "{}"))
			return "([^/]+)"
		})
		values := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(req.URL.Path)
		operation := item.GetOperation(req.Method)
		if values == nil || operation == nil {
			continue
		}
		params := make(map[string]string)
		for i, name := range names {
			params[name] = values[i+1]
		}
		return &routers.Route{Spec: doc, Path: template, PathItem: item, Method: req.Method, Operation: operation}, params, nil
	}
	return nil, nil, fmt.Errorf("no such operation in the specification")
}

func TestTheValidatorNoticesAWrongAnswer(t *testing.T) {
	all, err := Specs()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(all[Logs])
	if err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas["EmailLogsGetMessagesByFilterResponse"].Value
	if err := schema.VisitJSON(map[string]any{"messages": []any{map[string]any{"sg_message_id": "x"}}}); err == nil || !strings.Contains(err.Error(), "from_email") {
		t.Errorf("a mail without its sender passed: %v", err)
	}
}
