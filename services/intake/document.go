package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"tocsin.dev/pkg/web"
)

// Limits of one request.
const (
	MaxBody      = 1 << 20
	maxNesting   = 64
	maxDocuments = 1000
)

// documents splits a body into its JSON documents: one value, the elements of
// one array, or several values one after the other. It checks all of it and
// its limits, and says where the first mistake is. The slices alias body.
func documents(body []byte) ([]json.RawMessage, error) {
	body = bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))
	if err := checkNesting(body); err != nil {
		return nil, err
	}
	var docs []json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(body))
	for {
		var doc json.RawMessage
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, notJSON(body, dec.InputOffset(), err)
		}
		if docs = append(docs, doc); len(docs) > maxDocuments {
			return nil, tooMany()
		}
	}
	if len(docs) == 0 {
		return nil, web.NewError(http.StatusBadRequest, "not_json", "The body is empty; post the alert as JSON.")
	}
	if len(docs) == 1 && docs[0][0] == '[' {
		var elements []json.RawMessage
		if err := json.Unmarshal(docs[0], &elements); err != nil {
			return nil, notJSON(body, 0, err)
		}
		if docs = elements; len(docs) > maxDocuments {
			return nil, tooMany()
		}
	}
	return docs, nil
}

func tooMany() error {
	return web.NewError(http.StatusRequestEntityTooLarge, "too_many",
		fmt.Sprintf("The body holds more than %d alerts; post fewer at once.", maxDocuments))
}

// notJSON says where the body stops being JSON, without repeating any of it.
func notJSON(body []byte, offset int64, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset > 0 {
		// The decoder counts from where it began; what it read before is behind it.
		offset = max(offset, min(syntax.Offset, int64(len(body))))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		offset = int64(len(body))
	}
	before := body[:max(0, min(int(offset), len(body)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return &web.Error{Status: http.StatusBadRequest, Code: "not_json", Err: errors.New("not JSON"),
		Message: fmt.Sprintf("The body is not JSON near line %d, column %d.", line, column)}
}

// checkNesting walks the brackets outside of strings.
func checkNesting(body []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return web.NewError(http.StatusBadRequest, "too_deep", fmt.Sprintf("The body is nested deeper than %d levels.", maxNesting))
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
