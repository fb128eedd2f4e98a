package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrNotCanonical means that a value has no canonical JSON: it is not JSON,
// repeats a key, holds broken Unicode or a number that a double cannot hold.
var ErrNotCanonical = errors.New("no canonical JSON")

// prefix names the algorithm in every digest.
const prefix = "sha256:"

// Digest returns "sha256:" and 64 lower-case hexadecimal digits over the
// canonical JSON of v: the same for every program that holds an equal value,
// whatever its field order or spacing.
func Digest(v any) (string, error) {
	canonical, err := Canonical(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return prefix + hex.EncodeToString(sum[:]), nil
}

// Canonical returns the JSON of v in the form of RFC 8785: no spaces, keys in
// UTF-16 order, shortest escapes, numbers as ECMAScript prints doubles. A
// json.RawMessage is taken as it is. An integer that would be rounded is
// refused: two different integers never share a digest.
func Canonical(v any) ([]byte, error) {
	raw, ok := v.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotCanonical, err)
		}
	}
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrNotCanonical)
	}
	// From here the grammar and the depth are known to be right.
	if !json.Valid(raw) {
		return nil, fmt.Errorf("%w: not JSON", ErrNotCanonical)
	}
	c := canon{in: raw, out: make([]byte, 0, len(raw))}
	if err := c.value(); err != nil {
		return nil, fmt.Errorf("%w: at byte %d: %w", ErrNotCanonical, c.at, err)
	}
	return c.out, nil
}

// canon rewrites valid JSON from in to out.
type canon struct {
	in  []byte
	at  int
	out []byte
}

func (c *canon) space() {
	for c.at < len(c.in) && strings.IndexByte(" \t\r\n", c.in[c.at]) >= 0 {
		c.at++
	}
}

func (c *canon) value() error {
	c.space()
	switch c.in[c.at] {
	case '{':
		return c.object()
	case '[':
		return c.array()
	case '"':
		s, err := c.text()
		if err != nil {
			return err
		}
		c.out = appendText(c.out, s)
		return nil
	}
	end := c.at
	for end < len(c.in) && strings.IndexByte(" \t\r\n,]}", c.in[end]) < 0 {
		end++
	}
	word := string(c.in[c.at:end])
	if word == "true" || word == "false" || word == "null" {
		c.out = append(c.out, word...)
	} else {
		number, err := canonicalNumber(word)
		if err != nil {
			return err
		}
		c.out = append(c.out, number...)
	}
	c.at = end
	return nil
}

func (c *canon) array() error {
	c.at++
	c.out = append(c.out, '[')
	for first := true; ; first = false {
		c.space()
		if c.in[c.at] == ']' {
			break
		}
		if !first {
			c.at++ // the comma
			c.out = append(c.out, ',')
		}
		if err := c.value(); err != nil {
			return err
		}
	}
	c.at++
	c.out = append(c.out, ']')
	return nil
}

// member is one member of an object: its decoded key, the key's UTF-16 units to
// sort by, and its canonical value.
type member struct {
	key   string
	units []uint16
	value []byte
}

func (c *canon) object() error {
	c.at++
	var members []member
	for first := true; ; first = false {
		c.space()
		if c.in[c.at] == '}' {
			break
		}
		if !first {
			c.at++ // the comma
			c.space()
		}
		key, err := c.text()
		if err != nil {
			return err
		}
		c.space()
		c.at++ // the colon
		whole := c.out
		c.out = nil
		if err := c.value(); err != nil {
			return err
		}
		members = append(members, member{key, utf16.Encode([]rune(key)), c.out})
		c.out = whole
	}
	c.at++
	slices.SortFunc(members, func(a, b member) int { return slices.Compare(a.units, b.units) })
	c.out = append(c.out, '{')
	for i, m := range members {
		if i > 0 {
			if members[i-1].key == m.key {
				return fmt.Errorf("the key %q is repeated", m.key)
			}
			c.out = append(c.out, ',')
		}
		c.out = appendText(c.out, m.key)
		c.out = append(c.out, ':')
		c.out = append(c.out, m.value...)
	}
	c.out = append(c.out, '}')
	return nil
}

// text reads a JSON string. Unlike encoding/json it refuses half a surrogate
// pair, which has no UTF-8 and would otherwise turn into U+FFFD.
func (c *canon) text() (string, error) {
	start := c.at + 1
	end := start
	for c.in[end] != '"' {
		if c.in[end] == '\\' {
			end++
		}
		end++
	}
	body := c.in[start:end]
	c.at = end + 1
	if bytes.IndexByte(body, '\\') < 0 {
		return string(body), nil
	}
	if err := wholeSurrogates(body); err != nil {
		return "", err
	}
	var s string
	err := json.Unmarshal(c.in[start-1:end+1], &s)
	return s, err
}

// wholeSurrogates checks the \u escapes of a string's body.
func wholeSurrogates(body []byte) error {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		i++
		if body[i] != 'u' {
			continue
		}
		first := hex4(body[i+1:])
		i += 4
		if !utf16.IsSurrogate(first) {
			continue
		}
		if !bytes.HasPrefix(body[i+1:], []byte(`\u`)) || utf16.DecodeRune(first, hex4(body[i+3:])) == utf8.RuneError {
			return fmt.Errorf("half a surrogate pair \\u%04x", first)
		}
		i += 6
	}
	return nil
}

// hex4 reads four hexadecimal digits, which the grammar has promised.
func hex4(b []byte) rune {
	n, err := strconv.ParseUint(string(b[:min(4, len(b))]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}

// appendText writes s with the escapes that RFC 8785 section 3.2.2.2 demands
// and no others.
func appendText(out []byte, s string) []byte {
	const digits = "0123456789abcdef"
	out = append(out, '"')
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			out = append(out, '\\', b)
		case b >= 0x20:
			out = append(out, b)
		case b == '\b':
			out = append(out, '\\', 'b')
		case b == '\t':
			out = append(out, '\\', 't')
		case b == '\n':
			out = append(out, '\\', 'n')
		case b == '\f':
			out = append(out, '\\', 'f')
		case b == '\r':
			out = append(out, '\\', 'r')
		default:
			out = append(out, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
		}
	}
	return append(out, '"')
}

// canonicalNumber prints a number as ECMAScript does (RFC 8785 section 3.2.2.3).
func canonicalNumber(word string) (string, error) {
	f, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return "", fmt.Errorf("%s is beyond a double", word)
	}
	text := ecmaScript(f)
	// An integer that is printed otherwise was rounded. «-0» is 0.
	if f != 0 && !strings.ContainsAny(word, ".eE") && text != word {
		return "", fmt.Errorf("the integer %s loses digits as a double; write it as a string", word)
	}
	return text, nil
}

func ecmaScript(f float64) string {
	abs := math.Abs(f)
	if abs == 0 {
		return "0" // also for -0
	}
	if abs >= 1e-6 && abs < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	// Go writes two digits of exponent at least, ECMAScript as few as it can.
	mantissa, exponent, _ := strings.Cut(s, "e")
	return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}
