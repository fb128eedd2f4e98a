package mapping

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tocsin.dev/pkg/event"
)

// setters put the result of an expression into the facts, by the name of the
// field. They return an error for a result of the wrong shape. This is also the
// list of fields that a mapping may have.
func setters() map[string]func(*Found, any) error {
	text := func(limit int, lines bool, to func(*Found) *string) func(*Found, any) error {
		return func(f *Found, v any) error {
			s, err := textOf(v)
			*to(f) = clean(s, limit, lines)
			return err
		}
	}
	return map[string]func(*Found, any) error{
		"dedupe":                       text(maxShort, false, func(f *Found) *string { return &f.Dedupe }),
		"metadata.product.uid":         text(64, false, func(f *Found) *string { return &f.Product }),
		"metadata.product.name":        text(200, false, func(f *Found) *string { return &f.ProductName }),
		"metadata.product.vendor_name": text(200, false, func(f *Found) *string { return &f.Vendor }),
		"class_uid": func(f *Found, v any) error {
			n, _ := number(v)
			f.ClassUID = int(n)
			return nil
		},
		"finding_info.uid":             text(maxShort, false, func(f *Found) *string { return &f.ExternalID }),
		"finding_info.title":           text(maxTitle, false, func(f *Found) *string { return &f.Title }),
		"finding_info.desc":            text(maxDesc, true, func(f *Found) *string { return &f.Desc }),
		"finding_info.types":           texts(func(f *Found) *[]string { return &f.Types }),
		"finding_info.src_url":         setLink,
		"finding_info.first_seen_time": instant(func(f *Found) **time.Time { return &f.OccurredAt }),
		"finding_info.created_time":    instant(func(f *Found) **time.Time { return &f.DetectedAt }),
		"severity_id":                  setSeverity,
		"severity":                     text(100, false, func(f *Found) *string { return &f.Severity }),
		"status": func(f *Found, v any) error {
			s, err := textOf(v)
			f.Status = strings.ToLower(clean(s, 100, false))
			return err
		},
		"device":               setDevices,
		"actor.user":           setUsers,
		"resources":            setResources,
		"data_classifications": setData,
		"observables":          texts(func(f *Found) *[]string { return &f.Observables }),
	}
}

// textOf accepts a text, a number or a boolean.
func textOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case map[string]any, []any:
		return "", fmt.Errorf("a text is wanted, not %s", kindOf(v))
	default:
		return fmt.Sprint(v), nil
	}
}

func kindOf(v any) string {
	if _, ok := v.([]any); ok {
		return "a list"
	}
	return "an object"
}

// listOf accepts a list or a single value.
func listOf(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v[:min(len(v), maxList)]
	default:
		return []any{v}
	}
}

func texts(to func(*Found) *[]string) func(*Found, any) error {
	return func(f *Found, v any) error {
		for _, x := range listOf(v) {
			s, err := textOf(x)
			if err != nil {
				return err
			}
			if s = clean(s, maxShort, false); s != "" {
				*to(f) = append(*to(f), s)
			}
		}
		return nil
	}
}

func setLink(f *Found, v any) error {
	s, err := textOf(v)
	if err != nil || s == "" {
		return err
	}
	if f.Link = safeURL(s); f.Link == "" {
		return fmt.Errorf("%q is no http or https link", clean(s, 60, false))
	}
	return nil
}

func setSeverity(f *Found, v any) error {
	n, ok := number(v)
	if !ok {
		return fmt.Errorf("severity_id is a number from 0 to 6; use sev")
	}
	if f.SeverityID = int(n); n < 0 || n > 6 {
		f.SeverityID = 0
	}
	return nil
}

// instant accepts what ts returns.
func instant(to func(*Found) **time.Time) func(*Found, any) error {
	return func(f *Found, v any) error {
		if s, ok := v.(string); ok {
			if rest, guessed := strings.CutSuffix(s, assumed); guessed {
				f.AssumedZone = true
				v = rest
			}
		}
		at, guessed, ok, err := parseTime(v)
		if err != nil || !ok {
			return err
		}
		f.AssumedZone = f.AssumedZone || guessed
		*to(f) = &at
		return nil
	}
}

// entries decodes a list of objects into their Go type through JSON, cleaning
// every text, and drops the empty ones.
func entries[T comparable](v any, bare func(string) T) ([]T, error) {
	var out []T
	seen := map[T]bool{}
	for _, x := range listOf(v) {
		var e T
		switch x := x.(type) {
		case string:
			e = bare(clean(x, maxShort, false))
		case map[string]any:
			b, err := json.Marshal(cleanTexts(x))
			if err != nil {
				return out, err
			}
			if err := json.Unmarshal(b, &e); err != nil {
				return out, fmt.Errorf("an entry has the wrong shape: %w", err)
			}
		case nil:
		default:
			return out, fmt.Errorf("a list of objects is wanted")
		}
		if zero := *new(T); e != zero && e != bare("") && !seen[e] {
			seen[e] = true
			out = append(out, e)
		}
	}
	return out, nil
}

func cleanTexts(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if s, ok := v.(string); ok {
			v = clean(s, maxShort, false)
		}
		out[k] = v
	}
	return out
}

func setDevices(f *Found, v any) (err error) {
	f.Devices, err = entries(v, func(s string) event.AlertDevice { return event.AlertDevice{Hostname: s} })
	return err
}

func setUsers(f *Found, v any) (err error) {
	f.Users, err = entries(v, func(s string) event.AlertUser { return event.AlertUser{Name: s} })
	return err
}

func setResources(f *Found, v any) (err error) {
	f.Resources, err = entries(v, func(s string) event.AlertResource { return event.AlertResource{UID: s} })
	return err
}

func setData(f *Found, v any) (err error) {
	f.Data, err = entries(v, func(s string) event.AlertData { return event.AlertData{Category: s} })
	return err
}
