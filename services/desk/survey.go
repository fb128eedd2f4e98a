package desk

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/web"
	"tocsin.dev/pkg/wording"
)

// surveyWait is how long a page or request waits for the whole list to be
// walked: two seconds are a million people.
const surveyWait = 4 * time.Second

// Survey asks scope what the texts of a case come to on its newest list.
// Nobody leaves scope; the answer counts and names person numbers.
func (s *Service) Survey(ctx context.Context, who User, number string, wait time.Duration) (event.WordingAnswer, error) {
	actor, err := mayAct(who, mayRead)
	if err != nil {
		return event.WordingAnswer{}, err
	}
	if _, err := s.load(ctx, who.Org, number); err != nil {
		return event.WordingAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait+5*time.Second)
	defer cancel()
	a, err := bus.Ask[event.WordingQuestion, event.WordingAnswer](ctx, s.cfg.Bus, event.AskWording,
		event.WordingQuestion{Org: who.Org, Case: number, Asker: actor, Wait: int(wait / time.Millisecond)})
	if err != nil {
		return a, asked("list of people", err)
	}
	return a, nil
}

// withList adds to a proposal what the texts would come to on every person of
// the list. Without an answer for exactly these texts and this list nobody can
// approve.
func (s *Service) withList(ctx context.Context, who User, c *casefile.Case, p *Proposal) {
	if p.Revision == 0 || len(p.Texts) == 0 {
		return // that stands against it already
	}
	for _, f := range s.listFindings(ctx, who, c, p) {
		p.Findings = append(p.Findings, f)
		if f.Blocks {
			p.Against = append(p.Against, about(f))
		}
	}
}

func (s *Service) listFindings(ctx context.Context, who User, c *casefile.Case, p *Proposal) []wording.Finding {
	a, err := s.Survey(ctx, who, c.Number, surveyWait)
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "the texts cannot be checked over the list", "org", c.Org, "case", c.Number, "error", err)
		return notChecked("whether everybody has what the texts need cannot be checked at the moment; try again")
	}
	return readSurvey(a, p)
}

// readSurvey says what a survey found, or why it says nothing about a proposal.
func readSurvey(a event.WordingAnswer, p *Proposal) []wording.Finding {
	switch {
	case a.Problem != "":
		return notChecked("the texts cannot be laid over the list: %s", a.Problem)
	case !sameWords(a, p):
		return notChecked("the texts or the list have just changed; look again")
	case !a.Done:
		return notChecked("%d of %d people have been checked; look again in a moment", a.Checked, a.People)
	}
	return ListFindings(a)
}

func notChecked(format string, args ...any) []wording.Finding {
	return []wording.Finding{{Check: "merge_value", Blocks: true, Message: fmt.Sprintf(format, args...)}}
}

// sameWords reports whether an answer is about the texts and the list of a proposal.
func sameWords(a event.WordingAnswer, p *Proposal) bool {
	key := func(t event.ApprovedText) string { return t.TextKey.String() + " " + t.Digest }
	names := func(texts []event.ApprovedText) []string {
		var all []string
		for _, t := range texts {
			all = append(all, key(t))
		}
		slices.Sort(all)
		return all
	}
	return a.ScopeDigest == p.ScopeDigest && a.SheetDigest == p.SheetDigest && slices.Equal(names(a.Texts), names(p.Texts))
}

// ListFindings says in words what a survey of the list found.
func ListFindings(a event.WordingAnswer) []wording.Finding {
	var all []wording.Finding
	for _, m := range a.Missing {
		all = append(all, wording.Finding{Check: "merge_value", Text: m.TextKey, Blocks: true, People: m.People, Numbers: m.Numbers,
			Message: fmt.Sprintf("%s no {{%s}}: %s. Put it inside a conditional part, such as {{#if person.has_name}}.", people(m.People, "has", "have"), m.Field, numbers(m.Numbers, m.People))})
	}
	for _, u := range a.Unworded {
		if u.Audience == "people" {
			continue // the check «language» counts them and may be decided about
		}
		all = append(all, wording.Finding{Check: "audience", Text: u.TextKey, People: u.People, Numbers: u.Numbers,
			Message: fmt.Sprintf("%s told through a guardian, and there is no text for guardians in %s on %s", people(u.People, "is", "are"), u.Language, u.Channel)})
	}
	return all
}

func people(n int64, one, many string) string {
	if n == 1 {
		return "1 person " + one
	}
	return fmt.Sprintf("%d people %s", n, many)
}

// numbers lists person numbers, which say nothing about anybody outside scope.
func numbers(named []person.Number, all int64) string {
	parts := make([]string, len(named))
	for i, n := range named {
		parts[i] = fmt.Sprint(n)
	}
	s := "number " + strings.Join(parts, ", ")
	if more := all - int64(len(named)); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// mayPreview may see a notice with a person's data in it.
var mayPreview = []Role{Legal, DPO, Admin}

// PreviewLetter shows the notice of one person of the list as it would leave.
// Scope's audit names the person who looked and the reason.
func (s *Service) PreviewLetter(ctx context.Context, who User, number string, q event.LetterQuestion) (event.LetterAnswer, error) {
	actor, err := mayAct(who, mayPreview)
	if err != nil {
		return event.LetterAnswer{}, err
	}
	if _, err := s.load(ctx, who.Org, number); err != nil {
		return event.LetterAnswer{}, err
	}
	bad := &Invalid{}
	q.Reason = strings.TrimSpace(q.Reason)
	if q.Person == 0 {
		bad.add("person", "Name a person number of the sealed list")
	}
	checkLength(bad, "reason", q.Reason, 3, maxLine, "Say why you look; the audit keeps it")
	if err := bad.or(); err != nil {
		return event.LetterAnswer{}, err
	}
	q.Org, q.Case, q.Asker = who.Org, number, actor
	a, err := bus.Ask[event.LetterQuestion, event.LetterAnswer](ctx, s.cfg.Bus, event.AskLetter, q)
	if err != nil {
		return a, asked("notice", err)
	}
	return a, nil
}

// RevokeApprover takes back every approval that a person has given in open
// cases of the organisation, and returns the cases in which something stood.
func (s *Service) RevokeApprover(ctx context.Context, who User, approver, reason string) ([]string, error) {
	if _, err := mayAct(who, []Role{DPO, Admin}); err != nil {
		return nil, err
	}
	bad := &Invalid{}
	reason = strings.TrimSpace(reason)
	checkLength(bad, "reason", reason, 3, maxLine, "Say why the approvals are taken back")
	if err := bad.or(); err != nil {
		return nil, err
	}
	cases, err := s.Cases(ctx, who)
	if err != nil {
		return nil, err
	}
	done := []string{}
	for _, c := range cases {
		stood := slices.ContainsFunc(c.Approvals, func(a casefile.Approved) bool { return a.Revoked == "" && a.Approval.Approver == approver })
		if !stood {
			continue
		}
		_, err := s.perform(ctx, act{who: who, on: On{Case: c.Number}, roles: []Role{DPO, Admin},
			decide: func(*casefile.Case, event.Actor, time.Time) ([]event.Body, error) {
				return []event.Body{event.ApprovalRevoked{Approver: approver, Reason: reason}}, nil
			}})
		if err != nil {
			return done, fmt.Errorf("case %s: %w", c.Number, err)
		}
		done = append(done, c.Number)
	}
	return done, nil
}

// errNoKey means that this desk cannot seal an export.
var errNoKey = &web.Error{Status: http.StatusUnprocessableEntity, Code: "no_key", Message: "This installation has no approval key to seal the export with; ask the administrator."}
