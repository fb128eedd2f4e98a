package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Limit refuses bodies larger than max bytes: at once with 413 when the
// request says so, and with an error from reading that Table answers with 413
// when it does not.
func Limit(max int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > max {
			// Do not read on; the connection is not reused.
			w.Header().Set("Connection", "close")
			WriteError(w, r, &http.MaxBytesError{Limit: max})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, max)
		next.ServeHTTP(w, r)
	})
}

// ReadBody reads the whole body, at most max bytes.
func ReadBody(w http.ResponseWriter, r *http.Request, max int64) ([]byte, error) {
	if r.ContentLength > max {
		w.Header().Set("Connection", "close")
		return nil, &http.MaxBytesError{Limit: max}
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, max)); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, &Error{Status: http.StatusBadRequest, Code: "body_unreadable", Message: "The body ended before it was complete.", Err: err}
	}
	return buf.Bytes(), nil
}

// DecodeJSON reads a JSON body of at most max bytes into v. Unknown fields,
// wrong types and a second value are errors that name the field or the place.
func DecodeJSON(w http.ResponseWriter, r *http.Request, max int64, v any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
		return NewError(http.StatusUnsupportedMediaType, "not_json", "Send the body as Content-Type: application/json.")
	}
	body, err := ReadBody(w, r, max)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return explainJSON(err, body)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return NewError(http.StatusBadRequest, "bad_json", "There is more after the end of the JSON value.")
	}
	return nil
}

// explainJSON says where the mistake is. It never repeats a value, which may
// be somebody's data.
func explainJSON(err error, body []byte) error {
	bad := &Error{Status: http.StatusBadRequest, Code: "bad_json", Err: err}
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case errors.Is(err, io.EOF):
		bad.Message = "The body is empty; a JSON value is expected."
	case errors.Is(err, io.ErrUnexpectedEOF):
		bad.Message = "The JSON ends too early."
	case errors.As(err, &syntax):
		line, column := position(body, syntax.Offset)
		bad.Message = fmt.Sprintf("The body is not JSON: line %d, column %d.", line, column)
	case errors.As(err, &kind):
		bad.Code = "bad_field"
		bad.Message = fmt.Sprintf("The field %s cannot be a %s.", quoted(kind.Field), kind.Value)
		bad.Fields = []Field{{Name: kind.Field, Message: "want " + kind.Type.String()}}
	default:
		name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
		if !unknown {
			bad.Message = "A value in the body cannot be read."
			return bad
		}
		name = strings.Trim(name, `"`)
		bad.Code = "unknown_field"
		bad.Message = fmt.Sprintf("The field %s is not known; check its spelling.", quoted(name))
		bad.Fields = []Field{{Name: name, Message: "not known"}}
	}
	return bad
}

func quoted(name string) string {
	if name == "" {
		return "at the top"
	}
	return "«" + name + "»"
}

// position returns the line and column, from 1, of a byte of the body.
func position(body []byte, offset int64) (line, column int) {
	before := body[:max(0, min(int(offset)-1, len(body)))]
	line = bytes.Count(before, []byte("\n")) + 1
	return line, len(before) - bytes.LastIndexByte(before, '\n')
}

// WriteJSON answers with v as JSON. An error of encoding is answered as a 500.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		WriteError(w, r, fmt.Errorf("encode answer %T: %w", v, err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller is gone if this fails
}
