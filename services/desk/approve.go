package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/wording"
)

// Proposal is what an approval would cover as the case stands.
type Proposal struct {
	Texts       []event.ApprovedText
	SheetDigest string
	Revision    int
	ScopeDigest string
	People      int64
	Channels    []string
	Duties      []string
	ValidUntil  time.Time
	// Policy is what the organisation demands of a yes to exactly this.
	Policy organisation.Approval
	// Findings are what the checks of the wording have to say; some block.
	Findings []wording.Finding
	// Against are the reasons why the person cannot approve now.
	Against []string
}

// Read is what an approver has read and says yes to.
type Read struct {
	Kind        string
	Texts       []event.ApprovedText
	SheetDigest string
	Revision    int
	ScopeDigest string
	// Channels are those that may be used; empty means all that have a text.
	Channels []string
	// ValidHours shortens how long the yes stands; 0 means as long as the organisation allows.
	ValidHours int
}

// Propose returns what the person would approve now, and what stands against it.
func (s *Service) Propose(ctx context.Context, who User, number string) (Proposal, *casefile.Case, error) {
	c, err := s.load(ctx, who.Org, number)
	if err != nil {
		return Proposal{}, nil, err
	}
	org, err := s.cfg.Organisations.Get(who.Org)
	if err != nil {
		return Proposal{}, nil, err
	}
	p := propose(org, c, s.cfg.Now().UTC())
	s.withList(ctx, who, c, &p)
	if err := mayApprove(p.Policy, who, c, s.cfg.Now()); err != nil {
		p.Against = append(p.Against, err.Error())
	}
	if slices.ContainsFunc(c.Approvals, func(a casefile.Approved) bool {
		return a.Approval.Approver == who.ID && c.Stale(a.Approval, s.cfg.Now()) == ""
	}) {
		p.Against = append(p.Against, "you have approved exactly this already")
	}
	return p, c, nil
}

func propose(org *organisation.Organisation, c *casefile.Case, now time.Time) Proposal {
	p := Proposal{
		SheetDigest: c.SheetDigest(),
		ValidUntil:  now.Add(time.Duration(org.Approval.ValidHours) * time.Hour).Truncate(time.Second),
	}
	if err := open(c); err != nil {
		p.Against = append(p.Against, err.Error())
	}
	for _, t := range Texts(c) {
		p.Texts = append(p.Texts, event.ApprovedText{TextKey: t.TextKey, Digest: t.Digest})
		for _, ch := range channelsOf(org, t.Channel) {
			if !slices.Contains(p.Channels, ch) {
				p.Channels = append(p.Channels, ch)
			}
		}
		if t.Rejected != "" {
			p.Against = append(p.Against, fmt.Sprintf("the text %s was sent back: %s", t.TextKey, t.Rejected))
		}
	}
	if len(p.Texts) == 0 {
		p.Against = append(p.Against, "no text has been written")
	}
	if latest := c.Latest(); latest == nil {
		p.Against = append(p.Against, "no list of people has been sealed")
	} else {
		p.Revision, p.ScopeDigest, p.People = latest.Revision, latest.Digest, latest.People
		if c.Exposure != nil && latest.Statement != c.Exposure.EventID {
			p.Against = append(p.Against, "the list of people for the newest exposure is not sealed yet")
		}
	}
	for _, d := range Duties(c) {
		if d.ToKind == "people" && (d.State == casefile.DutyOpen || d.State == casefile.DutyMissed) {
			p.Duties = append(p.Duties, d.ID)
		}
	}
	p.Policy = approval.PolicyFor(org.Approval, c, p.Texts, p.Duties)
	p.Findings = CheckWording(org, c, p.Channels)
	for _, f := range p.Findings {
		if f.Blocks {
			p.Against = append(p.Against, about(f))
		}
	}
	return p
}

func about(f wording.Finding) string {
	if f.Text == (event.TextKey{}) {
		return f.Message
	}
	return f.Text.String() + ": " + f.Message
}

// factLanguageFallback is the fact by which a person decides, with the reason
// as its value, that people whose language is missing are written to in the
// organisation's.
const factLanguageFallback = "notice.language_fallback"

// CheckWording runs the checks over all texts of a case for some channels.
func CheckWording(org *organisation.Organisation, c *casefile.Case, channels []string) []wording.Finding {
	set := wording.Set{
		Organisation: org, CaseNumber: c.Number, Sheet: c.Sheet, Channels: channels,
		LanguageFallback: c.Facts[factLanguageFallback].Value,
	}
	for _, t := range Texts(c) {
		set.Texts = append(set.Texts, t.WordingDrafted)
	}
	if latest := c.Latest(); latest != nil {
		set.Languages = latest.Counts.Languages
		for code := range latest.Counts.Categories {
			// A code that this version does not know can be in no condition of a text.
			if s, err := category.Parse(code); err == nil {
				set.Exposed |= s
			}
		}
	}
	for _, d := range Duties(c) {
		if d.ToKind != "people" || (d.State != casefile.DutyOpen && d.State != casefile.DutyMissed) {
			continue
		}
		for _, word := range d.Required {
			set.Required = append(set.Required, wording.Demand{Content: word, Duty: d.ID, Citation: d.Citation, Place: d.Jurisdiction})
		}
		for _, word := range d.Forbidden {
			set.Forbidden = append(set.Forbidden, wording.Demand{Content: word, Duty: d.ID, Citation: d.Citation, Place: d.Jurisdiction})
		}
	}
	findings := wording.Check(set)
	for i, f := range findings {
		if o, decided := overridden(c, f.Check, f.Text); decided && f.Blocks && f.Overridable {
			findings[i].Blocks = false
			findings[i].Message += fmt.Sprintf(" (let stand by %s: %s)", o.By.ID, o.Reason)
		}
	}
	return findings
}

// ChannelOf returns the channel of a dispatch on which a text first travels: a letter goes by post.
func ChannelOf(textChannel string) string {
	if textChannel == "letter" {
		return "post"
	}
	return textChannel
}

// channelsOf returns the channels of a dispatch on which a text may travel: a
// letter goes by post, and by fax too where the organisation says that it faxes.
func channelsOf(org *organisation.Organisation, textChannel string) []string {
	all := []string{ChannelOf(textChannel)}
	if textChannel == "letter" && slices.Contains(org.Channels, "fax") {
		all = append(all, "fax")
	}
	return all
}

// mayApprove holds the person against the policy for what is to be approved.
func mayApprove(policy organisation.Approval, who User, c *casefile.Case, now time.Time) error {
	if roles := rolesOf(policy); !who.Has(roles...) {
		return &Forbidden{Why: "approving needs the role " + roleNames(roles)}
	}
	if end := who.ApprovesUntil; !end.IsZero() && !now.Before(end) {
		return refuse("approver_expired", "your right to approve ended on %s; ask the administrator", instant(end))
	}
	if c.Writers[who.ID] && !policy.OnePerson {
		return refuse("writer_cannot_approve", "you wrote part of the wording; somebody else must approve it")
	}
	if !policy.ReadersOnly {
		return nil
	}
	unread := ""
	for _, t := range Texts(c) {
		if who.CanRead(t.Language) {
			if policy.Eyes > 1 {
				return nil // another of the eyes may read the other languages
			}
			continue
		}
		unread = t.TextKey.String()
	}
	if unread != "" {
		return refuse("cannot_read", "the text %s must be approved by somebody who reads its language", unread)
	}
	return nil
}

func rolesOf(policy organisation.Approval) []Role {
	roles := make([]Role, len(policy.Roles))
	for i, r := range policy.Roles {
		roles[i] = Role(r)
	}
	return roles
}

// Approve signs a yes to exactly what the person has read. If the case has
// moved on in the meantime it is refused, and says what changed.
func (s *Service) Approve(ctx context.Context, who User, on On, read Read) (event.WordingApproved, error) {
	org, err := s.cfg.Organisations.Get(who.Org)
	if err != nil {
		return event.WordingApproved{}, err
	}
	id := event.NewID()
	if on.Key != "" {
		id = event.DerivedID(who.Org, on.Case, "approval", who.ID, on.Key)
	}
	c, err := s.perform(ctx, act{
		who: who, on: on, roles: rolesOf(org.Approval),
		matters: voidsApproval,
		decide: func(c *casefile.Case, _ event.Actor, now time.Time) ([]event.Body, error) {
			yes, err := s.checkApproval(ctx, org, who, c, read, now)
			if err != nil {
				return nil, err
			}
			yes.ID = id
			signed, err := s.sign(yes)
			if err != nil {
				return nil, err
			}
			return []event.Body{signed}, nil
		},
	})
	if err != nil {
		return event.WordingApproved{}, err
	}
	a := c.Approval(id)
	if a == nil {
		return event.WordingApproved{}, fmt.Errorf("approval %s is not in the journal of case %s", id, on.Case)
	}
	return a.WordingApproved, nil
}

func voidsApproval(e casefile.Entry) bool {
	if e.Type == event.TypeFactStated {
		b, _ := event.Decode(e.Event)
		f, ok := b.(*event.FactStated)
		return ok && (strings.HasPrefix(f.Key, "sheet.") || f.Key == factLanguageFallback)
	}
	return anyOf(event.TypeWordingDrafted, event.TypeWordingRejected, event.TypeScopeSealed, event.TypeExposureStated)(e)
}

func (s *Service) checkApproval(ctx context.Context, org *organisation.Organisation, who User, c *casefile.Case, read Read, now time.Time) (event.Approval, error) {
	p := propose(org, c, now)
	if err := mayApprove(p.Policy, who, c, now); err != nil {
		return event.Approval{}, err
	}
	role, _ := who.as(rolesOf(p.Policy))
	s.withList(ctx, who, c, &p)
	if len(p.Against) > 0 {
		return event.Approval{}, refuse("not_ready", "%s", strings.Join(p.Against, "; "))
	}
	slices.SortFunc(read.Texts, func(a, b event.ApprovedText) int { return compareKeys(a.TextKey, b.TextKey) })
	switch {
	case !slices.Equal(read.Texts, p.Texts):
		return event.Approval{}, refuse("text_changed", "the texts are not the ones you read; read them again")
	case read.SheetDigest != p.SheetDigest:
		return event.Approval{}, refuse("sheet_changed", "the facts sheet is not the one you read; read the texts again")
	case read.Revision != p.Revision || read.ScopeDigest != p.ScopeDigest:
		return event.Approval{}, refuse("list_changed", "the list of people is not the one you saw; look at it again")
	}
	if len(read.Channels) == 0 {
		read.Channels = p.Channels
	}
	bad := &Invalid{}
	for _, ch := range read.Channels {
		if !slices.Contains(p.Channels, ch) {
			bad.add("channels", "There is no text for %q", ch)
		}
	}
	if read.Kind == "" {
		read.Kind = "first"
	}
	if !slices.Contains(noticeKinds, read.Kind) {
		bad.add("kind", "Choose first, supplement or correction")
	}
	if read.ValidHours < 0 || read.ValidHours > org.Approval.ValidHours {
		bad.add("valid_hours", "The organisation lets an approval stand for 1 to %d hours", org.Approval.ValidHours)
	}
	until := p.ValidUntil
	if read.ValidHours > 0 {
		until = now.Add(time.Duration(read.ValidHours) * time.Hour).Truncate(time.Second)
	}
	if end := who.ApprovesUntil; !end.IsZero() && end.Before(until) {
		until = end.UTC().Truncate(time.Second)
	}
	return event.Approval{
		Org: c.Org, Case: c.Number, Kind: read.Kind, Texts: p.Texts, SheetDigest: p.SheetDigest,
		Revision: p.Revision, ScopeDigest: p.ScopeDigest, Channels: slices.Sorted(slices.Values(read.Channels)), Duties: p.Duties,
		ValidFrom: now, ValidUntil: until, Approver: who.ID, Role: string(role), ApprovedAt: now, Policy: policyName(p.Policy),
		Terms: termsOf(p.Policy), Reads: readBy(who, p.Texts),
	}, bad.or()
}

// policyName writes the policy as the record shows it.
func policyName(p organisation.Approval) string {
	if p.OnePerson {
		return "one person"
	}
	name := fmt.Sprintf("%d besides the writer, of %s", max(p.Eyes, 1), strings.Join(p.Roles, " or "))
	if p.ReadersOnly {
		name += ", who read the language"
	}
	return name
}

func (s *Service) sign(a event.Approval) (event.WordingApproved, error) {
	if s.cfg.Approver == nil {
		return event.WordingApproved{}, refuse("no_key", "this installation has no approval key; ask the administrator")
	}
	digest, err := seal.Digest(a)
	if err != nil {
		return event.WordingApproved{}, fmt.Errorf("digest of approval %s: %w", a.ID, err)
	}
	return event.WordingApproved{Approval: a, Signature: s.cfg.Approver.Sign(digest)}, nil
}
