package notice

import (
	"slices"
	"strings"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
)

// Ladder is the channels on which a person may be reached, best first, packed
// into 3 bits each, the first in the lowest bits.
type Ladder uint32

// First returns the best channel, or None.
func (l Ladder) First() Channel { return Channel(l & 7) }

// Rest returns the ladder without its best channel.
func (l Ladder) Rest() Ladder { return l >> 3 }

// After returns the ladder below a channel; it is empty if the channel is not on it.
func (l Ladder) After(ch Channel) Ladder {
	for ; l != 0; l >>= 3 {
		if l.First() == ch {
			return l.Rest()
		}
	}
	return 0
}

// Channels lists the ladder, best first.
func (l Ladder) Channels() (all []Channel) {
	for ; l != 0; l >>= 3 {
		all = append(all, l.First())
	}
	return all
}

func makeLadder(channels []Channel) (l Ladder) {
	for i := len(channels) - 1; i >= 0; i-- {
		l = l<<3 | Ladder(channels[i])
	}
	return l
}

// Categories whose exposure makes an address unsafe.
var (
	credentials = mustSet("password") | mustSet("session_or_mfa")
	emailBit    = mustSet("email")
	phoneBit    = mustSet("phone")
	mfaBit      = mustSet("session_or_mfa")
)

func mustSet(code string) category.Set {
	s, err := category.Parse(code)
	if err != nil {
		return 0 // TestLadderKnowsItsCategories fails then
	}
	return s
}

// compromised reports whether the breach itself made a channel unsafe for a
// person: a mailbox whose address was exposed together with a password
// or a session may be read by whoever has them (people re-use
// passwords); a phone number exposed together with sign-in tokens may have been
// taken over. Nobody signs in to a letter box or a fax machine, so these stay
// safe. Whether only the breached service's own mailboxes count is the
// organisation's decision (mailOnly names its mail domains; empty means all).
func compromised(ch Channel, c *person.Contact, mailDomains []string) bool {
	switch ch {
	case Email:
		if c.Exposed&emailBit == 0 || c.Exposed&credentials == 0 {
			return false
		}
		if len(mailDomains) == 0 {
			return true
		}
		_, domain, _ := strings.Cut(c.Email.Reveal(), "@")
		for _, d := range mailDomains {
			if strings.EqualFold(d, domain) {
				return true
			}
		}
	case SMS, Voice:
		return c.Exposed&phoneBit != 0 && c.Exposed&mfaBit != 0
	}
	return false
}

// usable reports whether a contact has an address on a channel that a provider
// would take.
func usable(ch Channel, c *person.Contact) bool {
	switch ch {
	case Email:
		return c.Email.Valid()
	case SMS, Voice:
		return c.Phone.Valid()
	case Fax:
		return c.Fax.Valid()
	case Post:
		return len(c.Address) >= 2 && c.Address[0] != ""
	}
	return false
}

// rule says in which order people of an order are reached.
type rule struct {
	// channels are the order's channels in the order the organisation promised.
	channels []Channel
	// ignoreCompromise is a person's recorded decision to use exposed channels.
	ignoreCompromise bool
	mailDomains      []string
}

// leavesOut reports whether a channel that a person could be reached on is left
// out because the breach itself exposed it.
func (r rule) leavesOut(c *person.Contact) bool {
	return !r.ignoreCompromise && slices.ContainsFunc(r.channels, func(ch Channel) bool { return usable(ch, c) && compromised(ch, c, r.mailDomains) })
}

// climb returns the ladder of a person and, if it is empty, why. A person's
// preference moves a channel to the top, and never removes another: a request
// not to be written to by email does not stop a legal notice.
func (r rule) climb(c *person.Contact) (Ladder, Reason) {
	var on [8]Channel
	n, exposed := 0, false
	add := func(ch Channel) {
		for _, have := range on[:n] {
			if have == ch {
				return
			}
		}
		if !usable(ch, c) {
			return
		}
		if !r.ignoreCompromise && compromised(ch, c, r.mailDomains) {
			exposed = true
			return
		}
		on[n] = ch
		n++
	}
	if pref, ok := channelNamed(c.Preference); ok {
		for _, ch := range r.channels {
			if ch == pref {
				add(ch)
			}
		}
	}
	for _, ch := range r.channels {
		add(ch)
	}
	switch {
	case n > 0:
		return makeLadder(on[:n]), ReasonPlanned
	case exposed:
		return 0, ReasonCompromised
	}
	return 0, ReasonNoAddress
}
