package inventory

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The blind index finds people by what identifies them without storing it: an
// HMAC-SHA-256 of the normalised value, under a key of its own for every kind
// of identifier and organisation.

// kindOfIndex numbers the kinds of identifier; stored, never change.
type kindOfIndex uint8

const (
	// byIdentity is the one key of a row: the organisation's number of the person
	// where there is one. 128 bits kept: equal means the same person.
	byIdentity kindOfIndex = iota
	// byEmail carries tags of name and birth date beside 128 bits of the mailbox.
	byEmail
	// byOfficial is a government id, which joins by itself.
	byOfficial
	// byPhone and byName serve the search alone; 64 bits, verified on the record.
	byPhone
	byName
	indexKinds
)

// hash128 is a keyed hash of an identifier.
type hash128 [16]byte

// blindKeys are the keys of the kinds of identifier of one organisation.
type blindKeys [indexKinds + 1][]byte

const byTag = indexKinds // key of the small tags of name and birth date

func newBlindKeys(secret []byte) *blindKeys {
	b := new(blindKeys)
	for kind, label := range [...]string{"identity", "email", "official", "phone", "name", "tag"} {
		key, err := hkdf.Key(sha256.New, secret, nil, "tocsin blind index "+label, 32)
		if err != nil {
			panic(err) // only for a length beyond 255 hashes
		}
		b[kind] = key
	}
	return b
}

// hasher hashes for one goroutine.
type hasher struct {
	macs [indexKinds + 1]hash.Hash
	sum  [sha256.Size]byte
	tags [1 << 17]uint32 // by birth day; 0 where not made yet
}

func (b *blindKeys) hasher() *hasher {
	h := &hasher{}
	for i := range h.macs {
		h.macs[i] = hmac.New(sha256.New, b[i]) // five times dearer than a hash, so kept
	}
	return h
}

func (h *hasher) hash(kind kindOfIndex, value []byte) hash128 {
	m := h.macs[kind]
	m.Reset()
	m.Write(value)
	return hash128(m.Sum(h.sum[:0])[:16])
}

// tag is a short keyed hash, never zero.
func (h *hasher) tag(value []byte) uint32 {
	x := h.hash(byTag, value)
	return max(1, uint32(x[0])<<24|uint32(x[1])<<16|uint32(x[2])<<8|uint32(x[3]))
}

// bornTag is the tag of a birth date; 0 means unknown.
func (h *hasher) bornTag(day Day) uint32 {
	if day == 0 {
		return 0
	}
	t := &h.tags[day&(1<<17-1)] // 358 years
	if *t == 0 {
		*t = h.tag([]byte{byte(day >> 24), byte(day >> 16), byte(day >> 8), byte(day)})
	}
	return *t
}

// normalEmail appends the form of an address that two spellings of it share:
// trimmed, Unicode NFC, lower case. Plus-tags and dots are kept: they may be
// other mailboxes.
func normalEmail(dst []byte, email string) []byte { return lower(dst, strings.TrimSpace(email)) }

// normalName appends a full name without case, accents' composition, marks and
// double spaces: "Anna-Maria  O'Neill" and "anna maria oneill" are the same.
func normalName(dst []byte, given, family string) []byte {
	start := len(dst)
	for _, part := range [2]string{given, family} {
		if ascii(part) {
			dst = appendNameASCII(dst, part, start)
			continue
		}
		for _, r := range norm.NFC.String(part) {
			switch {
			case unicode.IsLetter(r) || unicode.IsDigit(r):
				dst = utf8.AppendRune(dst, unicode.ToLower(r))
			case (unicode.IsSpace(r) || r == '-') && len(dst) > start && dst[len(dst)-1] != ' ':
				dst = append(dst, ' ')
			}
		}
		if len(dst) > start && dst[len(dst)-1] != ' ' {
			dst = append(dst, ' ')
		}
	}
	if len(dst) > start && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

func appendNameASCII(dst []byte, part string, start int) []byte {
	for i := 0; i < len(part); i++ {
		c := part[i]
		switch {
		case c >= 'A' && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			dst = append(dst, c)
		case (c == ' ' || c == '\t' || c == '-') && len(dst) > start && dst[len(dst)-1] != ' ':
			dst = append(dst, ' ')
		}
	}
	if len(dst) > start && dst[len(dst)-1] != ' ' {
		dst = append(dst, ' ')
	}
	return dst
}

func lower(dst []byte, s string) []byte {
	if !ascii(s) {
		return append(dst, strings.ToLower(norm.NFC.String(s))...)
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
