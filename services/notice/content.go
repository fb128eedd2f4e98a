package notice

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/carrier"
)

// secrets derives what notice keeps secret from its one key.
type secrets struct{ key []byte }

// derive returns a key for one purpose.
func (s secrets) derive(purpose ...string) []byte {
	h := hmac.New(sha256.New, s.key)
	for _, p := range purpose {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// marker makes notice ids and bindings of one campaign. It is not safe for
// concurrent use; making one costs about a microsecond.
type marker struct {
	ids, binds hash.Hash
	buf        []byte
}

func (s secrets) marker(org, caseID, kind string, revision int) *marker {
	if kind == "first" {
		revision = 0
	}
	return &marker{
		ids:   hmac.New(sha256.New, s.derive("notice", org, caseID, kind, fmt.Sprint(revision))),
		binds: hmac.New(sha256.New, s.derive("bind", org, caseID)),
	}
}

// notice returns the id of a person's notice on a channel with the words of a
// digest. The same parts always give the same id, so a repeat is recognised.
func (m *marker) notice(who person.Number, ch Channel, digest string) (id carrier.ID) {
	m.ids.Reset()
	m.buf = binary.BigEndian.AppendUint32(m.buf[:0], uint32(who))
	m.buf = append(m.buf, byte(ch))
	m.buf = append(m.buf, digest...)
	m.ids.Write(m.buf)
	m.buf = m.ids.Sum(m.buf[:0])
	copy(id[:], m.buf)
	return id
}

// bind ties a person number to the address, names and exposed categories that
// were planned for it. Any mix-up between planning and sending changes it.
func (m *marker) bind(who person.Number, reach, named *person.Contact) int64 {
	m.binds.Reset()
	b := binary.BigEndian.AppendUint32(m.buf[:0], uint32(who))
	b = binary.BigEndian.AppendUint32(b, uint32(reach.Number))
	b = binary.BigEndian.AppendUint32(b, uint32(named.Exposed))
	for _, s := range [...]string{reach.Email.Reveal(), reach.Phone.Reveal(), named.GivenName.Reveal(), named.FamilyName.Reveal(), named.Language} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, line := range reach.Address {
		b = append(append(b, 0), line.Reveal()...)
	}
	if reach.Fax != "" {
		b = append(append(b, 1), reach.Fax.Reveal()...)
	}
	if named.Source != "" {
		b = append(append(b, 2), named.Source.Reveal()...)
	}
	m.binds.Write(b)
	m.buf = m.binds.Sum(b[:0])
	return int64(binary.BigEndian.Uint64(m.buf) >> 1)
}

var alphabet = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// reference is what the person may quote: ten characters of the notice id, the
// same on every copy of the same notice.
func reference(id carrier.ID) string {
	s := alphabet.EncodeToString(id[:7])
	return s[:5] + "-" + s[5:10]
}

// recipient is one person to be written to: who is named, and where it goes.
type recipient struct {
	// named is the person of the sealed list.
	named *person.Contact
	// reach is where the notice goes: the person, or the guardian of a minor.
	reach *person.Contact
}

func (r recipient) audience() string {
	if r.named != r.reach {
		return "guardians"
	}
	return "people"
}

// language is the language of whoever reads the notice.
func (r recipient) language() string { return r.reach.Language }

// content is what may be said under one verified order: the approved texts,
// compiled and bound to the case. It is made anew whenever the case changes.
type content struct {
	seq   uint64
	c     *casefile.Case
	order *casefile.Order
	org   *organisation.Organisation
	a     *event.Approval
	texts map[event.TextKey]*text
}

type text struct {
	*wording.Bound
	digest string
	// tails and cleaned remember, for each *wording.Variant, the shared part of
	// an email request and whether the words are free of substitution tags.
	tails, cleaned sync.Map
}

func newContent(c *casefile.Case, o *casefile.Order, org *organisation.Organisation) (*content, error) {
	return contentOf(c, o, org, &c.Approval(o.Approval).Approval)
}

// contentOf compiles the texts that an approval names.
func contentOf(c *casefile.Case, o *casefile.Order, org *organisation.Organisation, a *event.Approval) (*content, error) {
	k := &content{seq: c.Seq, c: c, order: o, org: org, a: a, texts: map[event.TextKey]*text{}}
	for _, t := range k.a.Texts {
		words := c.Texts[t.TextKey]
		if words == nil {
			return nil, fmt.Errorf("text %s is missing", t.TextKey)
		}
		tpl, err := wording.Compile(t.TextKey, words.Subject, words.Body)
		if err != nil {
			return nil, err
		}
		b, err := tpl.Bind(wording.Common{Organisation: org, CaseNumber: c.Number, Sheet: c.Sheet(t.Language)})
		if err != nil {
			return nil, err
		}
		k.texts[t.TextKey] = &text{Bound: b, digest: t.Digest}
	}
	return k, nil
}

// text returns the words for a recipient on a channel, or nil.
func (k *content) text(r recipient, ch Channel) *text {
	key, ok := textFor(k.c, k.a, k.org, r.audience(), ch, r.language())
	if !ok {
		return nil
	}
	return k.texts[key]
}

// rule returns in which order the people of this order are reached.
func (k *content) rule(mailDomains []string, serves func(Channel) bool) rule {
	r := rule{mailDomains: mailDomains, ignoreCompromise: k.c.Facts[FactUseExposed].Value != ""}
	if k.publicOnly() { // nobody is written to; who could have been is told apart from who could not
		r.channels = sendable
		return r
	}
	allowed := func(name string) bool {
		for _, n := range k.order.Channels {
			if n == name {
				return true
			}
		}
		return false
	}
	add := func(name string) {
		ch, ok := channelNamed(name)
		if !ok || !serves(ch) || !allowed(name) {
			return
		}
		for _, have := range r.channels {
			if have == ch {
				return
			}
		}
		r.channels = append(r.channels, ch)
	}
	for _, name := range k.org.Channels { // the promised order first
		add(name)
	}
	for _, name := range k.order.Channels { // then what was ordered besides
		add(name)
	}
	return r
}

// publicOnly reports whether the order puts up the public notice and writes to nobody.
func (k *content) publicOnly() bool {
	return !slices.ContainsFunc(k.order.Channels, func(name string) bool { return name != Page.String() })
}

// FactUseExposed is the key of the fact by which a person decides, with the
// reason as its value, to use addresses that the breach itself exposed.
const FactUseExposed = "notice.use_exposed_channels"

// contents caches the content of orders by the sequence of their case.
type contents struct {
	mu  sync.Mutex
	all map[string]*content
}

func (k *contents) get(c *casefile.Case, o *casefile.Order, org *organisation.Organisation) (*content, error) {
	key := c.Org + "\x00" + c.Number + "\x00" + o.Order
	k.mu.Lock()
	have := k.all[key]
	k.mu.Unlock()
	if have != nil && have.seq == c.Seq {
		return have, nil
	}
	made, err := newContent(c, o, org)
	if err != nil {
		return nil, err
	}
	// Layouts of unchanged texts stay valid; they depend on the words and the
	// facts sheet alone, both of which the approval covers.
	if have != nil && approval.SameContent(have.a, made.a) && have.org == made.org {
		made.texts = have.texts
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil || len(k.all) > 64 {
		k.all = map[string]*content{}
	}
	k.all[key] = made
	return made, nil
}

// packPlace packs a jurisdiction such as "US-CA" into a number for the ledger.
func packPlace(s string) int64 {
	var n int64
	for _, c := range strings.ToUpper(s)[:min(len(s), 8)] {
		i := strings.IndexRune(placeDigits, c)
		if i < 0 {
			i = 1
		}
		n = n*int64(len(placeDigits)) + int64(i)
	}
	return n
}

func unpackPlace(n int64) string {
	if n == 0 {
		return "unknown"
	}
	var b []byte
	for ; n > 0; n /= int64(len(placeDigits)) {
		b = append([]byte{placeDigits[n%int64(len(placeDigits))]}, b...)
	}
	return string(b)
}

const placeDigits = "\x00-ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// byDigest returns the approved text with a digest, or nil.
func (k *content) byDigest(digest string) *text {
	for _, t := range k.texts {
		if t.digest == digest {
			return t
		}
	}
	return nil
}
