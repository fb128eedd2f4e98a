package approval

import (
	"errors"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/wording"
)

// clockSkew is how far the clock of whoever approved may be ahead of ours.
const clockSkew = 2 * time.Minute

// ForOrder says whether an order of the case may be carried out now, under the
// policy of the organisation as it is now. It returns nil if everything holds.
func ForOrder(c *casefile.Case, o *casefile.Order, org *organisation.Organisation, keys *seal.Keyring, now time.Time) *Refusal {
	a, r := ordered(c, o)
	if r != nil {
		return r
	}
	v := verifier{c, PolicyFor(org.Approval, c, a.Approval.Texts, a.Approval.Duties), keys, now}
	if r := v.order(a, o); r != nil {
		return r
	}
	return checkSenders(o, org)
}

// ForRecord is ForOrder for whoever has the journal and the keys alone: the
// policy is the one that the approval itself states under its signature, and
// the organisation's senders are not looked at.
func ForRecord(c *casefile.Case, o *casefile.Order, keys *seal.Keyring, at time.Time) *Refusal {
	a, r := ordered(c, o)
	if r != nil {
		return r
	}
	return (verifier{c, Policy(&a.Approval), keys, at}).order(a, o)
}

// Stands says whether an approval covers the case as it is, under the policy
// that the approval itself states.
func Stands(c *casefile.Case, a *casefile.Approved, keys *seal.Keyring, at time.Time) *Refusal {
	return (verifier{c, Policy(&a.Approval), keys, at}).stands(a)
}

// Signed says whether the signature is over exactly this statement, by a key
// that is trusted at the instant at.
func Signed(a *event.WordingApproved, keys *seal.Keyring, at time.Time) *Refusal {
	digest, err := seal.Digest(a.Approval)
	if err != nil {
		return Refuse(SignatureInvalid, "the approval has no canonical form: %v", err)
	}
	switch err := keys.Verify(digest, a.Signature, at); {
	case err == nil:
		return nil
	case errors.Is(err, seal.ErrUnknownKey):
		return Refuse(KeyUnknown, "%v", err)
	case errors.Is(err, seal.ErrRevoked), errors.Is(err, seal.ErrNotValid):
		return Refuse(KeyRevoked, "%v", err)
	default:
		return Refuse(SignatureInvalid, "%v", err)
	}
}

// Policy returns the rules that an approval states about itself. One that
// states none is held to a single yes by somebody who wrote nothing.
func Policy(a *event.Approval) organisation.Approval {
	if a.Terms == nil {
		return organisation.Approval{Eyes: 1, Roles: []string{a.Role}, OnePerson: a.Policy == "one person"}
	}
	return organisation.Approval{Eyes: a.Terms.Eyes, Roles: a.Terms.Roles, ReadersOnly: a.Terms.ReadersOnly, OnePerson: a.Terms.OnePerson}
}

func ordered(c *casefile.Case, o *casefile.Order) (*casefile.Approved, *Refusal) {
	a := c.Approval(o.Approval)
	if a == nil {
		return nil, Refuse(NoApproval, "the order names approval %q and the case has none such", o.Approval)
	}
	if o.OrderedBy.Kind != event.PersonActor {
		return nil, Refuse(OrderedBy, "the order was placed by %s %q", o.OrderedBy.Kind, o.OrderedBy.ID)
	}
	return a, nil
}

// verifier holds approvals of one case against one policy at one instant.
type verifier struct {
	c      *casefile.Case
	policy organisation.Approval
	keys   *seal.Keyring
	now    time.Time
}

func (v verifier) order(a *casefile.Approved, o *casefile.Order) *Refusal {
	if r := v.genuine(a); r != nil {
		return r
	}
	if a.Approval.Kind != o.Kind {
		return Refuse(WrongKind, "the approval is for a %s notice and the order for a %s notice", a.Approval.Kind, o.Kind)
	}
	if o.Revision != a.Approval.Revision || o.ScopeDigest != a.Approval.ScopeDigest {
		return Refuse(ListChanged, "the order names revision %d (%s) and the approval revision %d (%s)",
			o.Revision, short(o.ScopeDigest), a.Approval.Revision, short(a.Approval.ScopeDigest))
	}
	if r := v.covers(a); r != nil {
		return r
	}
	return checkChannels(o, &a.Approval)
}

func (v verifier) stands(a *casefile.Approved) *Refusal {
	if r := v.genuine(a); r != nil {
		return r
	}
	return v.covers(a)
}

// genuine asks whether the yes itself counts: signature, case, time, not taken back.
func (v verifier) genuine(a *casefile.Approved) *Refusal {
	if r := Signed(&a.WordingApproved, v.keys, v.now); r != nil {
		return r
	}
	if a.Approval.Org != v.c.Org || a.Approval.Case != v.c.Number {
		return Refuse(WrongCase, "the approval is for case %s of %s", a.Approval.Case, a.Approval.Org)
	}
	if a.Revoked != "" {
		return Refuse(Revoked, "the approval was taken back: %s", a.Revoked)
	}
	return v.window(&a.Approval)
}

func (v verifier) window(a *event.Approval) *Refusal {
	switch {
	case v.c.ChangedAt.After(v.now.Add(clockSkew)): // set back, it would make a yes count that has run out
		return Refuse(Clock, "our clock is behind the journal, whose newest entry is of %s", v.c.ChangedAt.UTC().Format(time.RFC3339))
	case a.ApprovedAt.After(v.now.Add(clockSkew)):
		return Refuse(Clock, "the approval is dated %s, which is ahead of now", a.ApprovedAt.UTC().Format(time.RFC3339))
	case v.now.Before(a.ValidFrom):
		return Refuse(NotYetValid, "the approval counts from %s", a.ValidFrom.UTC().Format(time.RFC3339))
	case a.ValidUntil.IsZero() || !v.now.Before(a.ValidUntil):
		return Refuse(Expired, "the approval counted until %s", a.ValidUntil.UTC().Format(time.RFC3339))
	}
	return nil
}

// covers asks whether the case still is what was approved, by people who may.
func (v verifier) covers(a *casefile.Approved) *Refusal {
	if r := v.list(&a.Approval); r != nil {
		return r
	}
	if r := v.words(&a.Approval); r != nil {
		return r
	}
	return v.people(a)
}

func (v verifier) list(a *event.Approval) *Refusal {
	latest, approved := v.c.Latest(), v.c.Revision(a.Revision)
	switch {
	case approved == nil:
		return Refuse(ListChanged, "revision %d was never sealed", a.Revision)
	case approved.Digest != a.ScopeDigest:
		return Refuse(ListChanged, "revision %d is sealed as %s and approved as %s", a.Revision, short(approved.Digest), short(a.ScopeDigest))
	case latest.Revision != a.Revision:
		return Refuse(ListChanged, "revision %d was sealed after revision %d was approved", latest.Revision, a.Revision)
	}
	return nil
}

func short(digest string) string { return digest[:min(len(digest), 19)] }

// words makes the digest of every approved text anew from the journal's words.
func (v verifier) words(a *event.Approval) *Refusal {
	if len(a.Texts) == 0 {
		return Refuse(TextMissing, "the approval names no text")
	}
	for _, t := range a.Texts {
		have := v.c.Texts[t.TextKey]
		if have == nil {
			return Refuse(TextMissing, "the case has no text %s", t.TextKey)
		}
		if made := wording.Digest(t.TextKey, have.Subject, have.Body); made != t.Digest {
			return Refuse(WordingChanged, "the text %s (version %d) is not the one that was approved", t.TextKey, have.Version)
		}
		if have.Rejected != "" {
			return Refuse(WordingRejected, "the text %s was sent back after the approval", t.TextKey)
		}
	}
	if a.SheetDigest != v.c.SheetDigest() {
		return Refuse(FactsChanged, "a fact on the facts sheet was changed after the approval")
	}
	return nil
}

// people asks who said yes: nobody who wrote, in roles that may, enough of
// them, and where the policy demands it a reader of every language.
func (v verifier) people(a *casefile.Approved) *Refusal {
	if r := v.approver(a); r != nil {
		return r
	}
	yes, reads := map[string]bool{a.Approval.Approver: true}, slices.Clone(a.Approval.Reads)
	for i := range v.c.Approvals {
		other := &v.c.Approvals[i]
		if SameContent(&a.Approval, &other.Approval) && v.genuine(other) == nil && v.approver(other) == nil {
			yes[other.Approval.Approver] = true
			reads = append(reads, other.Approval.Reads...)
		}
	}
	if len(yes) < v.policy.Eyes {
		return Refuse(TooFewEyes, "%d of %d people have approved exactly this", len(yes), v.policy.Eyes)
	}
	if !v.policy.ReadersOnly {
		return nil
	}
	for _, t := range a.Approval.Texts {
		if !slices.ContainsFunc(reads, func(tag string) bool { return base(tag) == base(t.Language) }) {
			return Refuse(CannotRead, "nobody who said yes is marked able to read the language of %s", t.TextKey)
		}
	}
	return nil
}

// base returns the language of a BCP 47 tag without its region.
func base(tag string) string {
	b, _, _ := strings.Cut(tag, "-")
	return strings.ToLower(b)
}

func (v verifier) approver(a *casefile.Approved) *Refusal {
	who := a.Approval.Approver
	switch {
	case who == "" || a.ApprovedBy.Kind != event.PersonActor || a.ApprovedBy.ID != who:
		return Refuse(ApproverMismatch, "the approval says %q and was entered by %s %q", who, a.ApprovedBy.Kind, a.ApprovedBy.ID)
	case v.c.Writers[who] && !v.policy.OnePerson:
		return Refuse(WriterApproved, "%s wrote a part of the texts and may not approve them", who)
	case !slices.Contains(v.policy.Roles, a.Approval.Role):
		return Refuse(RoleNotAllowed, "the role %q may not approve at %s", a.Approval.Role, v.c.Org)
	}
	return nil
}

// SameContent reports whether two approvals cover the same words, list and channels.
func SameContent(a, b *event.Approval) bool {
	return a.Kind == b.Kind && a.Revision == b.Revision && a.ScopeDigest == b.ScopeDigest && a.SheetDigest == b.SheetDigest &&
		slices.Equal(textNames(a.Texts), textNames(b.Texts)) && slices.Equal(slices.Sorted(slices.Values(a.Channels)), slices.Sorted(slices.Values(b.Channels)))
}

func textNames(texts []event.ApprovedText) []string {
	keys := make([]string, 0, len(texts))
	for _, t := range texts {
		keys = append(keys, t.TextKey.String()+" "+t.Digest)
	}
	slices.Sort(keys)
	return keys
}

// textChannels says which channel's text travels on a sending channel.
var textChannels = map[string]string{"email": "email", "sms": "sms", "post": "letter", "fax": "letter", "page": "page"}

func checkChannels(o *casefile.Order, a *event.Approval) *Refusal {
	if len(o.Channels) == 0 {
		return Refuse(ChannelUnknown, "the order names no channel")
	}
	for _, name := range o.Channels {
		words, ok := textChannels[name]
		if !ok || !slices.Contains(a.Channels, name) {
			return Refuse(ChannelUnknown, "the channel %q is not approved", name)
		}
		if !slices.ContainsFunc(a.Texts, func(t event.ApprovedText) bool { return t.Channel == words }) {
			return Refuse(TextMissing, "no %s text is approved", words)
		}
	}
	return nil
}

// checkSenders asks what only the organisation knows: where people may ask
// back, and under whose name the notice goes.
func checkSenders(o *casefile.Order, org *organisation.Organisation) *Refusal {
	if p := org.Contact; p == nil || p.Email == "" && p.Phone == "" && p.Post == "" && p.URL == "" {
		return Refuse(ContactPoint, "%s names no contact point, which every notice must give", org.Name)
	}
	for _, name := range o.Channels {
		if name == "email" && org.Sender.Email == "" || name == "sms" && org.Sender.SMS == "" {
			return Refuse(SenderMissing, "%s has no sender for %s", org.Name, name)
		}
	}
	return nil
}
