package carrier

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// ID is a notice id: 128 bits of a keyed hash, so it says nothing about the
// person to whoever lacks the key.
type ID [16]byte

// Append writes the id in base64url without padding, 22 characters.
func (id ID) Append(b []byte) []byte {
	return base64.RawURLEncoding.AppendEncode(b, id[:])
}

// String returns the id as it travels.
func (id ID) String() string { return string(id.Append(make([]byte, 0, 22))) }

// ParseID reads an id as it travels.
func ParseID(s string) (id ID, err error) {
	if len(s) != 22 {
		return id, fmt.Errorf("notice id has %d characters, want 22", len(s))
	}
	n, err := base64.RawURLEncoding.Decode(id[:], []byte(s))
	if err != nil || n != len(id) {
		return id, fmt.Errorf("notice id is not base64url")
	}
	return id, nil
}

// AppendAttempt writes an attempt and the position in its request as "<attempt>.<pos>".
func AppendAttempt(b []byte, attempt int64, pos int) []byte {
	b = strconv.AppendInt(b, attempt, 10)
	b = append(b, '.')
	return strconv.AppendInt(b, int64(pos), 10)
}

// ParseAttempt reads "<attempt>.<pos>".
func ParseAttempt(s string) (attempt int64, pos int, err error) {
	a, p, ok := strings.Cut(s, ".")
	if !ok {
		return 0, 0, fmt.Errorf("attempt wants the form <attempt>.<position>")
	}
	if attempt, err = strconv.ParseInt(a, 10, 64); err != nil || attempt <= 0 {
		return 0, 0, fmt.Errorf("attempt wants a positive number")
	}
	if pos, err = strconv.Atoi(p); err != nil || pos < 0 || pos > 1<<16 {
		return 0, 0, fmt.Errorf("position wants a small number")
	}
	return attempt, pos, nil
}
