package inventory

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dchest/siphash"
	"github.com/zeebo/blake3"
	"golang.org/x/text/unicode/norm"
)

// The blind index finds people by what identifies them without storing it: a
// keyed hash of the normalised value, under a key of its own for every kind of
// identifier and organisation. What the index needs of it is that nobody without
// the key can tell the hash of a value: a pseudo-random function with a key and
// a result of 128 bits. SipHash-2-4 is made for that and for short values, and
// takes a third of the time of BLAKE3 and a fifth of that of HMAC-SHA-256;
// inventories from before it keep the hash they began with.

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
type blindKeys struct {
	form byte
	keys [indexKinds + 1][]byte
}

const byTag = indexKinds // key of the small tags of name and birth date

// Forms of the keyed hash; stored, never change.
const (
	blindHMAC    = 1
	blindBLAKE3  = 2
	blindSipHash = 3 // SipHash-2-4 with 128 bits, under the first half of the key
)

// secretSize is the random part of the secret from which the keys of the blind
// index come. A byte after it names the form of the hash; without one it is HMAC.
const secretSize = 64

func newBlindKeys(secret []byte) (*blindKeys, error) {
	b := &blindKeys{form: blindHMAC}
	if len(secret) == secretSize+1 {
		b.form, secret = secret[secretSize], secret[:secretSize]
	}
	if len(secret) != secretSize {
		return nil, fmt.Errorf("the secret of the blind index has %d bytes instead of %d", len(secret), secretSize)
	}
	if b.form < blindHMAC || b.form > blindSipHash {
		return nil, fmt.Errorf("the blind index has the form %d, which this program does not know", b.form)
	}
	for kind, label := range [...]string{"identity", "email", "official", "phone", "name", "tag"} {
		key, err := hkdf.Key(sha256.New, secret, nil, "tocsin blind index "+label, 32)
		if err != nil {
			return nil, err
		}
		b.keys[kind] = key
	}
	return b, nil
}

// hasher hashes for one goroutine.
type hasher struct {
	form byte
	sips [indexKinds + 1][2]uint64 // the keys of SipHash
	macs [indexKinds + 1]hash.Hash // of the other forms
	sum  [sha256.Size]byte
	tags [1 << 17]uint32 // by birth day; 0 where not made yet
}

func (b *blindKeys) hasher() *hasher {
	h := &hasher{form: b.form}
	for i, key := range b.keys {
		if b.form == blindSipHash {
			h.sips[i] = [2]uint64{binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:])}
		} else {
			h.macs[i] = b.mac(key) // dearer to make than to use, so kept
		}
	}
	return h
}

func (b *blindKeys) mac(key []byte) hash.Hash {
	if b.form == blindHMAC {
		return hmac.New(sha256.New, key)
	}
	h, err := blake3.NewKeyed(key)
	if err != nil {
		panic(err) // the key has the right size: newBlindKeys made it
	}
	return h
}

func (h *hasher) hash(kind kindOfIndex, value []byte) hash128 {
	if h.form == blindSipHash {
		var sum hash128
		low, high := siphash.Hash128(h.sips[kind][0], h.sips[kind][1], value)
		binary.LittleEndian.PutUint64(sum[:], low)
		binary.LittleEndian.PutUint64(sum[8:], high)
		return sum
	}
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
		for _, r := range composed(part) {
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
		return append(dst, strings.ToLower(composed(s))...)
	}
	start := len(dst)
	dst = append(dst, s...)
	for i, c := range dst[start:] {
		if c-'A' < 26 {
			dst[start+i] = c + 'a' - 'A'
		}
	}
	return dst
}

// composed returns s in NFC. What holds nothing from U+0300 on, where the
// combining marks begin, is so already.
func composed(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0xcc { // begins a rune from U+0300 on
			return norm.NFC.String(s)
		}
	}
	return s
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
