package notice

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/wording"
)

// Refusal is why an order may not be carried out. Reason is a word for programs.
type Refusal struct{ Reason, Detail string }

// Error implements error.
func (r *Refusal) Error() string { return "approval refused: " + r.Reason + ": " + r.Detail }

// The reasons of a refusal, as they stand in approval.refused.
const (
	RefusedNoApproval     = "no_approval"
	RefusedWrongCase      = "wrong_case"
	RefusedWrongKind      = "wrong_kind"
	RefusedUnknownKey     = "key_unknown"
	RefusedSignature      = "signature_invalid"
	RefusedKeyRevoked     = "key_revoked"
	RefusedNotYetValid    = "not_yet_valid"
	RefusedExpired        = "expired"
	RefusedClock          = "clock"
	RefusedList           = "list_changed"
	RefusedWording        = "wording_changed"
	RefusedFacts          = "facts_changed"
	RefusedRejected       = "wording_rejected"
	RefusedText           = "text_missing"
	RefusedWriter         = "writer_approved"
	RefusedApprover       = "approver_mismatch"
	RefusedRole           = "role_not_allowed"
	RefusedEyes           = "too_few_approvals"
	RefusedChannel        = "channel_not_approved"
	RefusedOrderedBy      = "not_ordered_by_a_person"
	RefusedContactPoint   = "contact_point_missing"
	RefusedSenderIdentity = "sender_missing"
)

// clockSkew is how far the desk's clock may be ahead of ours.
const clockSkew = 2 * time.Minute

// verify says whether an order may be carried out now, from the journal, the
// organisation's policy and the public keys alone. It trusts nothing that was
// computed elsewhere: the digests of the texts are made anew from the words
// that would be sent. It returns nil if everything holds.
func verify(c *casefile.Case, o *casefile.Order, org *organisation.Organisation, keys *seal.Keyring, now time.Time) *Refusal {
	a := c.Approval(o.Approval)
	if a == nil {
		return refuse(RefusedNoApproval, "the order names approval %q and the case has none such", o.Approval)
	}
	if o.OrderedBy.Kind != event.PersonActor {
		return refuse(RefusedOrderedBy, "the order was placed by %s %q", o.OrderedBy.Kind, o.OrderedBy.ID)
	}
	for _, check := range []func() *Refusal{
		func() *Refusal { return checkSignature(a, keys, now) },
		func() *Refusal { return checkBinding(c, o, &a.Approval) },
		func() *Refusal { return checkWindow(&a.Approval, now) },
		func() *Refusal { return checkList(c, o, &a.Approval) },
		func() *Refusal { return checkWords(c, &a.Approval) },
		func() *Refusal { return checkPolicy(c, a, org, keys, now) },
		func() *Refusal { return checkChannels(o, &a.Approval, org) },
	} {
		if r := check(); r != nil {
			return r
		}
	}
	return nil
}

func refuse(reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

func checkSignature(a *casefile.Approved, keys *seal.Keyring, now time.Time) *Refusal {
	digest, err := seal.Digest(a.Approval)
	if err != nil {
		return refuse(RefusedSignature, "the approval has no canonical form: %v", err)
	}
	switch err := keys.Verify(digest, a.Signature, now); {
	case err == nil:
		return nil
	case errors.Is(err, seal.ErrUnknownKey):
		return refuse(RefusedUnknownKey, "%v", err)
	case errors.Is(err, seal.ErrRevoked), errors.Is(err, seal.ErrNotValid):
		return refuse(RefusedKeyRevoked, "%v", err)
	default:
		return refuse(RefusedSignature, "%v", err)
	}
}

func checkBinding(c *casefile.Case, o *casefile.Order, a *event.Approval) *Refusal {
	if a.Org != c.Org || a.Case != c.Number {
		return refuse(RefusedWrongCase, "the approval is for case %s of %s", a.Case, a.Org)
	}
	if a.Kind != o.Kind {
		return refuse(RefusedWrongKind, "the approval is for a %s notice and the order for a %s notice", a.Kind, o.Kind)
	}
	return nil
}

func checkWindow(a *event.Approval, now time.Time) *Refusal {
	switch {
	case a.ApprovedAt.After(now.Add(clockSkew)):
		return refuse(RefusedClock, "the approval is dated %s, which is ahead of now", a.ApprovedAt.UTC().Format(time.RFC3339))
	case now.Before(a.ValidFrom):
		return refuse(RefusedNotYetValid, "the approval counts from %s", a.ValidFrom.UTC().Format(time.RFC3339))
	case a.ValidUntil.IsZero() || !now.Before(a.ValidUntil):
		return refuse(RefusedExpired, "the approval counted until %s", a.ValidUntil.UTC().Format(time.RFC3339))
	}
	return nil
}

func checkList(c *casefile.Case, o *casefile.Order, a *event.Approval) *Refusal {
	latest := c.Latest()
	switch {
	case latest == nil || c.Revision(a.Revision) == nil:
		return refuse(RefusedList, "revision %d was never sealed", a.Revision)
	case c.Revision(a.Revision).Digest != a.ScopeDigest:
		return refuse(RefusedList, "revision %d is sealed as %s and approved as %s", a.Revision, short(c.Revision(a.Revision).Digest), short(a.ScopeDigest))
	case o.Revision != a.Revision || o.ScopeDigest != a.ScopeDigest:
		return refuse(RefusedList, "the order names revision %d (%s) and the approval revision %d (%s)", o.Revision, short(o.ScopeDigest), a.Revision, short(a.ScopeDigest))
	case latest.Revision != a.Revision:
		return refuse(RefusedList, "revision %d was sealed after revision %d was approved", latest.Revision, a.Revision)
	}
	return nil
}

func short(digest string) string { return digest[:min(len(digest), 19)] }

// checkWords makes the digest of every approved text anew from the journal's words.
func checkWords(c *casefile.Case, a *event.Approval) *Refusal {
	if len(a.Texts) == 0 {
		return refuse(RefusedText, "the approval names no text")
	}
	for _, t := range a.Texts {
		have := c.Texts[t.TextKey]
		if have == nil {
			return refuse(RefusedText, "the case has no text %s", t.TextKey)
		}
		if made := wording.Digest(t.TextKey, have.Subject, have.Body); made != t.Digest {
			return refuse(RefusedWording, "the text %s (version %d) is not the one that was approved", t.TextKey, have.Version)
		}
		if have.Rejected != "" {
			return refuse(RefusedRejected, "the text %s was sent back after the approval", t.TextKey)
		}
	}
	if a.SheetDigest != c.SheetDigest() {
		return refuse(RefusedFacts, "a fact on the facts sheet was changed after the approval")
	}
	return nil
}

// checkPolicy asks who said yes: not a writer, in a role that may, and enough of them.
func checkPolicy(c *casefile.Case, a *casefile.Approved, org *organisation.Organisation, keys *seal.Keyring, now time.Time) *Refusal {
	if r := checkApprover(c, a, org); r != nil {
		return r
	}
	if org.Approval.Eyes <= 1 {
		return nil
	}
	yes := map[string]bool{a.Approval.Approver: true}
	for i := range c.Approvals {
		other := &c.Approvals[i]
		if sameContent(&a.Approval, &other.Approval) && checkApprover(c, other, org) == nil &&
			checkSignature(other, keys, now) == nil && checkWindow(&other.Approval, now) == nil {
			yes[other.Approval.Approver] = true
		}
	}
	if len(yes) < org.Approval.Eyes {
		return refuse(RefusedEyes, "%d of %d people have approved exactly this", len(yes), org.Approval.Eyes)
	}
	return nil
}

func checkApprover(c *casefile.Case, a *casefile.Approved, org *organisation.Organisation) *Refusal {
	who := a.Approval.Approver
	switch {
	case who == "" || a.ApprovedBy.Kind != event.PersonActor || a.ApprovedBy.ID != who:
		return refuse(RefusedApprover, "the approval says %q and was entered by %s %q", who, a.ApprovedBy.Kind, a.ApprovedBy.ID)
	case c.Writers[who] && !org.Approval.OnePerson:
		return refuse(RefusedWriter, "%s wrote a part of the texts and may not approve them", who)
	case !slices.Contains(org.Approval.Roles, a.Approval.Role):
		return refuse(RefusedRole, "the role %q may not approve at %s", a.Approval.Role, org.ID)
	}
	return nil
}

// sameContent reports whether two approvals cover the same words, list and channels.
func sameContent(a, b *event.Approval) bool {
	return a.Kind == b.Kind && a.Revision == b.Revision && a.ScopeDigest == b.ScopeDigest && a.SheetDigest == b.SheetDigest &&
		slices.Equal(sortedTexts(a.Texts), sortedTexts(b.Texts)) && slices.Equal(sorted(a.Channels), sorted(b.Channels))
}

func sortedTexts(texts []event.ApprovedText) []string {
	keys := make([]string, 0, len(texts))
	for _, t := range texts {
		keys = append(keys, t.TextKey.String()+" "+t.Digest)
	}
	return sorted(keys)
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func checkChannels(o *casefile.Order, a *event.Approval, org *organisation.Organisation) *Refusal {
	if org.Contact == nil || org.Contact.Email == "" && org.Contact.Phone == "" && org.Contact.Post == "" && org.Contact.URL == "" {
		return refuse(RefusedContactPoint, "%s names no contact point, which every notice must give", org.Name)
	}
	if len(o.Channels) == 0 {
		return refuse(RefusedChannel, "the order names no channel")
	}
	for _, name := range o.Channels {
		ch, ok := channelNamed(name)
		if !ok || !slices.Contains(a.Channels, name) {
			return refuse(RefusedChannel, "the channel %q is not approved", name)
		}
		if ch == Email && org.Sender.Email == "" || ch == SMS && org.Sender.SMS == "" {
			return refuse(RefusedSenderIdentity, "%s has no sender for %s", org.Name, name)
		}
		if !slices.ContainsFunc(a.Texts, func(t event.ApprovedText) bool { return t.Channel == ch.Text() }) {
			return refuse(RefusedText, "no %s text is approved", ch.Text())
		}
	}
	return nil
}

// textFor returns the approved text for an audience, channel and language: the
// language itself, a text in its base language, the organisation's language for
// people whose language is unknown, and otherwise only what a person decided
// and stated as the fact notice.language_fallback. There is no silent fall-back.
func textFor(c *casefile.Case, a *event.Approval, org *organisation.Organisation, audience string, ch Channel, language string) (event.TextKey, bool) {
	if language == "" || language == "unknown" {
		language = org.Language
	}
	if k, ok := approvedText(a, audience, ch, language); ok {
		return k, true
	}
	if c.Facts[FactLanguageFallback].Value != "" {
		return approvedText(a, audience, ch, org.Language)
	}
	return event.TextKey{}, false
}

// FactLanguageFallback is the key of the fact by which a person decides, with
// the reason as its value, to write in the organisation's language to people
// whose language has no text.
const FactLanguageFallback = "notice.language_fallback"

func approvedText(a *event.Approval, audience string, ch Channel, language string) (event.TextKey, bool) {
	base, _, _ := strings.Cut(language, "-")
	var found event.TextKey
	for _, t := range a.Texts {
		if t.Audience != audience || t.Channel != ch.Text() {
			continue
		}
		if t.Language == language {
			return t.TextKey, true
		}
		if have, _, _ := strings.Cut(t.Language, "-"); have == base && (found.Language == "" || t.Language < found.Language) {
			found = t.TextKey
		}
	}
	return found, found.Language != ""
}
