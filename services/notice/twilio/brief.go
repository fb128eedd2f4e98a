package twilio

import "bytes"

// brief returns a JSON object with the sid alone, if body is a whole object
// that has one as a plain string; else body as it is, for twilio-go to judge.
// Twilio's answer repeats the message with some forty members, and decoding
// them all costs more than sending the request did.
func brief(body []byte) []byte {
	sid := member(body, `"sid"`)
	if sid == nil {
		return body
	}
	short := make([]byte, 0, len(sid)+8)
	return append(append(append(short, `{"sid":`...), sid...), '}')
}

// member returns the value of a member of a JSON object with its quotes if it
// is a string without escapes, given the member's name in quotes. It is nil if
// there is none, or if the object does not end where the body does: half an
// answer proves nothing.
func member(body []byte, name string) (value []byte) {
	depth, named := 0, false
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			end := stringEnd(body, i)
			if end < 0 {
				return nil
			}
			s := body[i:end]
			if named {
				value, named = s, false
			} else {
				named = depth == 1 && string(s) == name && followedBy(body[end:], ':')
			}
			i = end - 1
		case '{', '[':
			depth++
			named = false
		case '}', ']':
			if depth--; depth == 0 {
				if len(bytes.TrimSpace(body[i+1:])) > 0 || body[0] != '{' || bytes.IndexByte(value, '\\') >= 0 {
					return nil
				}
				return value
			}
		case ',':
			named = false
		}
	}
	return nil
}

// stringEnd returns where the JSON string that begins at i has ended, or -1.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

func followedBy(b []byte, c byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == c
}
