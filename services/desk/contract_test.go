package desk

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"tocsin.dev/schemas"
	"tocsin.dev/services/desk/api"
)

// contractTransport holds every live answer of the API against the contract.
type contractTransport struct {
	t        testing.TB
	contract *contract
	// operations that were answered as the contract says.
	seen map[string]bool
}

func (c *contractTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.HasPrefix(r.URL.Path, "/api/") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	r.Body = io.NopCloser(bytes.NewReader(sent))
	input, err := c.contract.input(r)
	if err != nil {
		return resp, nil //nolint:nilerr // not in the contract: the test looks at the status
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	answer.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(r.Context(), answer); err != nil {
		c.t.Errorf("%s %s answered %d against the contract: %v\n%s", r.Method, r.URL.Path, resp.StatusCode, err, body)
	}
	if resp.StatusCode < 300 {
		c.seen[input.Route.Operation.OperationID] = true
	}
	return resp, nil
}

func TestTheContractIsValidAndEveryOperationIsDocumented(t *testing.T) {
	data, err := schemas.FS.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Summary == "" || op.OperationID == "" || len(op.Tags) == 0 || op.Responses.Default() == nil {
				t.Errorf("%s %s lacks a summary, an id, a tag or its problem answer", method, path)
			}
			for _, p := range op.Parameters {
				if p.Value.Description == "" {
					t.Errorf("%s %s: the parameter %s is not described", method, path, p.Value.Name)
				}
			}
		}
	}
}

// TestGeneratedCodeIsCurrent fails when somebody changed the contract and did
// not generate. It needs oapi-codegen v2.8.2 on the PATH and is skipped without.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	generator, err := exec.LookPath("oapi-codegen")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("CI must have oapi-codegen on the PATH")
	}
	if err != nil {
		t.Skip("oapi-codegen is not on the PATH: go install github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2")
	}
	for dir, config := range map[string]string{"api": "server.cfg.yaml", "api/client": "client.cfg.yaml"} {
		data, err := os.ReadFile(filepath.Join(dir, config))
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "gen.go")
		name := regexp.MustCompile(`(?m)^output: (.*)$`).FindSubmatch(data)[1]
		data = regexp.MustCompile(`(?m)^output: .*$`).ReplaceAll(data, []byte("output: "+out))
		temporary := filepath.Join(t.TempDir(), "cfg.yaml")
		if err := os.WriteFile(temporary, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), generator, "-config", temporary, strings.Repeat("../", strings.Count(dir, "/")+1)+"../../schemas/openapi.yaml")
		cmd.Dir = dir
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("generate %s: %v\n%s", dir, err, msg)
		}
		want, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(filepath.Join(dir, string(name)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s is not what the contract gives: run go generate ./services/desk/api/...", dir)
		}
	}
}

func TestWhatTheContractForbidsIsRefusedByName(t *testing.T) {
	b := newBench(t)
	declare := func(change map[string]any) map[string]any {
		d := map[string]any{"title": "Files read", "aware_at": b.now.Now(), "severity": "high"}
		for k, v := range change {
			if v == nil {
				delete(d, k)
			} else {
				d[k] = v
			}
		}
		return d
	}
	for name, test := range map[string]struct {
		method, path string
		body         any
		field        string
	}{
		"an unknown field":       {"POST", "/api/v1/cases", declare(map[string]any{"titel": "x"}), "titel"},
		"a missing field":        {"POST", "/api/v1/cases", declare(map[string]any{"severity": nil}), "severity"},
		"a word not on the list": {"POST", "/api/v1/cases", declare(map[string]any{"severity": "terrible"}), "severity"},
		"a text too long":        {"POST", "/api/v1/cases", declare(map[string]any{"title": strings.Repeat("x", 201)}), "title"},
		"an instant ahead":       {"POST", "/api/v1/cases", declare(map[string]any{"aware_at": b.now.Now().AddDate(1, 0, 0)}), "aware_at"},
		"an unknown category":    {"POST", "/api/v1/cases", declare(map[string]any{"categories": []string{"shoe size"}}), "categories"},
		"an alert nobody sent":   {"POST", "/api/v1/cases", declare(map[string]any{"alerts": []string{"nothing"}}), "alerts[0]"},
		"a page without limit":   {"GET", "/api/v1/cases?limit=100000", nil, "limit"},
		"no exposure at all":     {"POST", "/api/v1/cases/2026-001/exposure", map[string]any{"exposures": []any{}}, "exposures"},
	} {
		var p api.Problem
		if s := b.call("ana", test.method, test.path, test.body, &p); s != http.StatusBadRequest {
			t.Errorf("%s: %d %+v", name, s, p)
			continue
		}
		if !slices.ContainsFunc(p.Errors, func(e api.FieldProblem) bool { return e.Name == test.field && e.Message != "" }) {
			t.Errorf("%s: the answer does not name %s: %+v", name, test.field, p)
		}
	}
}

func TestBadRequestsGetAnAnswerThatSaysWhatToDo(t *testing.T) {
	b := newBench(t)
	send := func(token, path, contentType, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.url+path, strings.NewReader(body))
		b.must(err)
		req.Header.Set("Content-Type", contentType)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		b.must(err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		b.must(err)
		if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s answers as %s", path, got)
		}
		return resp.StatusCode, string(data)
	}
	for name, test := range map[string]struct {
		token, path, contentType, body string
		want                           int
	}{
		"no token":          {"", "/api/v1/cases", "application/json", "{}", http.StatusUnauthorized},
		"a wrong token":     {"token-nobody", "/api/v1/cases", "application/json", "{}", http.StatusUnauthorized},
		"no JSON":           {"token-ana", "/api/v1/cases", "application/json", "{", http.StatusBadRequest},
		"another type":      {"token-ana", "/api/v1/cases", "text/plain", "hello", http.StatusBadRequest},
		"too large":         {"token-ana", "/api/v1/cases", "application/json", `{"title":"` + strings.Repeat("x", maxRequest) + `"}`, http.StatusRequestEntityTooLarge},
		"unknown operation": {"token-ana", "/api/v1/nothing", "application/json", "{}", http.StatusNotFound},
	} {
		if got, body := send(test.token, test.path, test.contentType, test.body); got != test.want {
			t.Errorf("%s: %d, want %d: %s", name, got, test.want, body)
		}
	}
}
