package sandbox

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// channel is the kind of message: email or sms.
type channel uint8

const (
	email channel = iota
	sms
)

func (c channel) String() string {
	if c == sms {
		return "sms"
	}
	return "email"
}

// state is where a message stands. The words are the vendors' own where the two agree.
type state uint8

const (
	accepted  state = iota // answered, nothing has happened yet
	queued                 // Twilio only
	processed              // SendGrid only
	scheduled              // waits for send_at
	sent
	deferred
	delivered
	complained // delivered, then reported as spam
	bounced
	blocked
	dropped
	undelivered
	failed
	cancelled
	stateCount
)

var stateNames = [stateCount]string{
	"accepted", "queued", "processed", "scheduled", "sent", "deferred", "delivered", "complained",
	"bounced", "blocked", "dropped", "undelivered", "failed", "cancelled",
}

func (s state) String() string { return stateNames[s] }

// envelope is what the messages of one request share. It is immutable once recorded.
type envelope struct {
	channel    channel
	id         string // X-Message-Id, or the Twilio sid
	at         time.Time
	from       string
	fromName   string
	subject    string
	categories []string
	caseID     string // of the whole request
	batchID    string // SendGrid only
	service    string // Twilio only: messaging service sid
	callback   string // Twilio only
	validity   time.Duration
	sendAt     time.Time // zero: at once
	bypass     bypass
	first      uint32 // index of the request's first message
	content    *content
	text       string // addresses, custom arguments and case of every message, one after the other
}

// content is the body that the messages of one request share; it is let go of when none of them is
// among the newest any more, except for SMS, where the look-up returns it.
type content struct {
	text, html, templateID string
	attachments            int
}

// span is a piece of envelope.text.
type span struct {
	off uint32
	n   uint32
}

// entry is the lasting record of one accepted message: about 150 bytes with its text and index, so
// that a million people cost the judge little.
type entry struct {
	env    *envelope
	addr   uint64 // hash of channel and address
	what   uint64 // hash of address and content
	notice uint64 // hash of the notice id; 0 when it has none
	to     span
	args   span // SendGrid: the merged custom arguments, a JSON object; Twilio: notice id
	caseID span // of this message alone
	extra  span // Twilio: attempt; SendGrid: a subject of its own
	next   uint32
	code   uint16 // Twilio error code of the outcome
	state  state
	fate   fate
}

// piece returns the text of a span.
func (e *entry) piece(s span) string { return e.env.text[s.off : s.off+s.n] }

// caseName is the case the message belongs to, empty when the sender did not say.
func (e *entry) caseName() string {
	if e.caseID.n > 0 {
		return e.piece(e.caseID)
	}
	return e.env.caseID
}

// told says whether the vendor took the message on: everything but what was called back in time.
func (e *entry) told() bool { return e.state != cancelled }

const slabSize = 4096

// happening is one step in the life of a message, for the page and for look-ups by id.
type happening struct {
	At     time.Time
	Status string
	Detail string
}

// detail is what is kept for the newest messages only: enough to show them as received.
type detail struct {
	index   uint32
	content *content
	toName  string
	subs    []byte // substitutions of this person, a JSON object
	history []happening
}

// record holds every accepted message of the process.
type record struct {
	mu     sync.Mutex
	seed   maphash.Seed
	slabs  [][]entry
	count  uint32
	byAddr map[uint64]uint32 // newest message to an address, index+1; chained through entry.next
	byID   map[string]uint32 // provider id → index of its first message
	newest []detail          // ring of the newest messages
	keep   int
	era    uint8 // counts resets
}

func newRecord(keep int) *record {
	r := &record{seed: maphash.MakeSeed(), keep: keep}
	r.reset()
	return r
}

func (r *record) reset() {
	r.slabs, r.count = nil, 0
	r.era++
	r.byAddr, r.byID = make(map[uint64]uint32), make(map[string]uint32)
	r.newest = make([]detail, r.keep)
}

// at returns the entry with an index below count. The pointer stays valid; the fields state and
// code change under the lock only.
func (r *record) at(i uint32) *entry { return &r.slabs[i/slabSize][i%slabSize] }

// add appends a message and returns its index. The caller holds the lock.
func (r *record) add(e entry, d detail) uint32 {
	i := r.count
	if i%slabSize == 0 {
		r.slabs = append(r.slabs, make([]entry, 0, slabSize))
	}
	e.next = r.byAddr[e.addr]
	r.byAddr[e.addr] = i + 1
	last := len(r.slabs) - 1
	r.slabs[last] = append(r.slabs[last], e)
	d.index = i
	if r.keep > 0 {
		r.newest[int(i)%r.keep] = d
	}
	r.count++
	return i
}

// kept returns the detail of a message while it is among the newest, else nil.
func (r *record) kept(i uint32) *detail {
	if r.keep == 0 || i >= r.count || r.count-i > uint32(r.keep) {
		return nil
	}
	d := &r.newest[int(i)%r.keep]
	if d.index != i {
		return nil
	}
	return d
}

// note writes a step into the history of a message that is still kept in full.
func (r *record) note(i uint32, h happening) {
	if d := r.kept(i); d != nil && len(d.history) < 32 {
		d.history = append(d.history, h)
	}
}

// addressKey is the hash an address counts under; email addresses count without regard to case.
func (r *record) addressKey(c channel, address string) uint64 {
	if c == email && hasUpper(address) {
		address = strings.ToLower(address)
	}
	return maphash.String(r.seed, address)<<1 | uint64(c)
}

// addressKeys returns the keys of addresses and E.164 numbers.
func (r *record) addressKeys(addresses []string) map[uint64]bool {
	keys := make(map[uint64]bool, len(addresses))
	for _, a := range addresses {
		c := email
		if strings.HasPrefix(a, "+") {
			c = sms
		}
		keys[r.addressKey(c, a)] = true
	}
	return keys
}

func (r *record) hash(s string) uint64 {
	if s == "" {
		return 0
	}
	return maphash.String(r.seed, s) | 1
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' || c >= 0x80 {
			return true
		}
	}
	return false
}
