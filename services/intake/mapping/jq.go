package mapping

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// prelude defines what needs jq's own laziness: an argument of first_of that
// fails or is empty is passed over.
const prelude = `
def _some: . != null and . != "" and . != [] and . != {};
def first_of(a): first((try a catch empty) | select(_some)) // null;
def first_of(a; b): first((try a catch empty), (try b catch empty) | select(_some)) // null;
def first_of(a; b; c): first_of(first_of(a; b); c);
def first_of(a; b; c; d): first_of(first_of(a; b); first_of(c; d));
def first_of(a; b; c; d; e): first_of(first_of(a; b; c); first_of(d; e));
def first_of(a; b; c; d; e; f): first_of(first_of(a; b; c); first_of(d; e; f));
def list: if . == null or . == "" then [] elif type == "array" then . else [.] end;
def path_of(p): p as $p | first_of(.[$p]; getpath($p | split(".")));
`

// expression is a compiled jq expression with its text.
type expression struct {
	text string
	code *gojq.Code
}

// compile parses an expression; $root is the whole document.
func compile(text string) (expression, error) {
	q, err := gojq.Parse(prelude + text)
	if err != nil {
		return expression{}, fmt.Errorf("%q is not jq: %w", clip(text, 120), err)
	}
	code, err := gojq.Compile(q,
		gojq.WithVariables([]string{"$root"}),
		gojq.WithEnvironLoader(func() []string { return nil }),
		gojq.WithFunction("ts", 0, 0, jqTime),
		gojq.WithFunction("sev", 0, 1, jqSeverity),
		gojq.WithFunction("url_safe", 0, 0, jqURL),
		gojq.WithFunction("clip", 1, 1, jqClip),
		gojq.WithFunction("digest", 0, 0, jqDigest),
	)
	if err != nil {
		return expression{}, fmt.Errorf("%q does not compile: %w", clip(text, 120), err)
	}
	return expression{text: text, code: code}, nil
}

// first returns the first result of the expression, nil if it yields none.
func (e expression) first(ctx context.Context, doc, root any) (any, error) {
	v, ok := e.code.RunWithContext(ctx, doc, root).Next()
	if !ok {
		return nil, nil
	}
	if err, failed := v.(error); failed {
		return nil, err
	}
	return v, nil
}

// all returns every result, at most limit.
func (e expression) all(ctx context.Context, doc, root any, limit int) ([]any, error) {
	var out []any
	iter := e.code.RunWithContext(ctx, doc, root)
	for {
		v, ok := iter.Next()
		if !ok {
			return out, nil
		}
		if err, failed := v.(error); failed {
			return out, err
		}
		if len(out) == limit {
			return out, fmt.Errorf("more than %d alerts in one document", limit)
		}
		out = append(out, v)
	}
}

// jqTime implements ts: RFC 3339 in UTC with the given fraction, followed by
// [assumed] if the zone was missing; null if the sender did not state a time.
func jqTime(v any, _ []any) any {
	at, guessed, ok, err := parseTime(v)
	switch {
	case err != nil:
		return err
	case !ok:
		return nil
	case guessed:
		return at.Format(time.RFC3339Nano) + assumed
	}
	return at.Format(time.RFC3339Nano)
}

// words are the severity words of all senders, by OCSF severity_id.
func words(s string) (int, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	s = strings.TrimPrefix(strings.TrimPrefix(s, "e_"), "severity_")
	switch s {
	case "informational", "information", "info", "notice", "debug":
		return 1, true
	case "low", "minor":
		return 2, true
	case "medium", "moderate", "warning", "warn":
		return 3, true
	case "high", "major", "error", "severe":
		return 4, true
	case "critical", "crit", "very high", "very_high", "emergency":
		return 5, true
	case "fatal":
		return 6, true
	}
	return 0, false
}

// jqSeverity implements sev: words to OCSF severity_id, 0 if it cannot be told.
// A number without a table is no severity, because every vendor counts
// differently. sev(table) takes an object of words, or a list of
// [lowest number, severity_id] in rising order.
func jqSeverity(v any, args []any) any {
	if len(args) == 1 {
		if id, ok, err := severityByTable(v, args[0]); ok || err != nil {
			if err != nil {
				return err
			}
			return id
		}
	}
	if s, ok := v.(string); ok {
		if id, ok := words(s); ok {
			return id
		}
	}
	return 0
}

func severityByTable(v, table any) (id int, ok bool, err error) {
	switch table := table.(type) {
	case map[string]any:
		word := strings.ToLower(strings.TrimSpace(fmt.Sprint(v)))
		for k, id := range table {
			if v != nil && strings.ToLower(k) == word {
				n, _ := number(id)
				return int(n), true, nil
			}
		}
		return 0, false, nil
	case []any:
		n, isNumber := number(v)
		if !isNumber {
			return 0, false, nil
		}
		for _, step := range table {
			pair, _ := step.([]any)
			if len(pair) != 2 {
				return 0, false, errors.New("sev wants steps of [lowest number, severity_id]")
			}
			low, _ := number(pair[0])
			if n >= low {
				to, _ := number(pair[1])
				id, ok = int(to), true
			}
		}
		return id, ok, nil
	}
	return 0, false, errors.New("sev wants an object of words or a list of steps")
}

// number reads a JSON number, also one written as a string.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v)
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	case string:
		f, err := json.Number(strings.TrimSpace(v)).Float64()
		return f, err == nil && !math.IsNaN(f)
	}
	return 0, false
}

func jqURL(v any, _ []any) any {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	if s = safeURL(s); s == "" {
		return nil
	}
	return s
}

func jqClip(v any, args []any) any {
	s, ok := v.(string)
	n, isNumber := number(args[0])
	if !ok || !isNumber {
		return v
	}
	return clip(s, int(n))
}

// jqDigest implements digest: the hex SHA-256 of a value's canonical JSON.
func jqDigest(v any, _ []any) any {
	b, err := gojq.Marshal(v)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
