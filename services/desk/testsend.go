package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
)

// Words that stand for users in the question for a test send.
const (
	toMe       = "me"
	toApprover = "approver"
)

// testWait bounds a test send: a provider may take its time for each message.
const testWait = 50 * time.Second

// TestWording sends a text, marked as a test, to users of the organisation. The
// sender decides again who may get one, and looks up the addresses by itself.
func (s *Service) TestWording(ctx context.Context, who User, on On, q event.TestQuestion) (event.TestAnswer, error) {
	var none event.TestAnswer
	actor, err := mayAct(who, mayDraft)
	if err != nil {
		return none, err
	}
	if q.Person != 0 {
		if actor, err = mayAct(who, mayPreview); err != nil {
			return none, err
		}
	}
	c, err := s.load(ctx, who.Org, on.Case)
	if err != nil {
		return none, err
	}
	if err := open(c); err != nil {
		return none, err
	}
	text := c.Texts[q.TextKey]
	if text == nil {
		return none, fmt.Errorf("text %s of case %s: %w", q.TextKey, c.Number, ErrNotFound)
	}
	if q.Digest == "" {
		q.Digest = text.Digest
	}
	bad := &Invalid{}
	q.Reason = strings.TrimSpace(q.Reason)
	if q.Person != 0 {
		checkLength(bad, "reason", q.Reason, 3, maxLine, "Say why the person is shown; the audit keeps it")
	}
	if q.To, err = s.testersFor(c, who, q.TextKey, q.To); err != nil {
		return none, err
	}
	if len(q.To) == 0 {
		bad.add("to", "Choose who shall get the test")
	}
	if err := bad.or(); err != nil {
		return none, err
	}
	q.Org, q.Case, q.Asker, q.ID = who.Org, c.Number, actor, eventID(act{who: who, on: on}, 0)
	ctx, cancel := context.WithTimeout(ctx, testWait)
	defer cancel()
	a, err := bus.Ask[event.TestQuestion, event.TestAnswer](ctx, s.cfg.Bus, event.AskTestSend, q)
	if err != nil {
		return a, asked("sender", err)
	}
	return a, nil
}

// testersFor turns "me" and "approver" into user ids, each once, in order.
func (s *Service) testersFor(c *casefile.Case, who User, k event.TextKey, to []string) ([]string, error) {
	org, err := s.cfg.Organisations.Get(who.Org)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, name := range to {
		switch name {
		case toMe:
			ids = append(ids, who.ID)
		case toApprover:
			approvers := s.approversOf(c, org, k)
			if len(approvers) == 0 {
				return nil, invalid("to", "Nobody who may approve this text has %s in the file of users", addressWord(k.Channel))
			}
			ids = append(ids, approvers...)
		default:
			ids = append(ids, name)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// approversOf returns the users whose yes to a text would count and who can be
// reached by its channel.
func (s *Service) approversOf(c *casefile.Case, org *organisation.Organisation, k event.TextKey) (ids []string) {
	policy := org.Approval
	policy.ReadersOnly = false // it asks about every text; this is about one
	for _, u := range s.cfg.Users.All() {
		if u.Org == org.ID && mayApprove(policy, u, c, s.cfg.Now()) == nil && u.reachable(k.Channel) && (!org.Approval.ReadersOnly || u.CanRead(k.Language)) {
			ids = append(ids, u.ID)
		}
	}
	return ids
}

// reachable reports whether a test on a channel can reach the user.
func (u User) reachable(channel string) bool {
	return channel == "email" && u.Email != "" || channel == "sms" && u.Phone != ""
}

func addressWord(channel string) string {
	if channel == "sms" {
		return "a phone number"
	}
	return "an email address"
}

// testsOf returns the test sends of exactly this version of a text that a
// provider accepted, newest first.
func testsOf(c *casefile.Case, k event.TextKey, digest string) (all []casefile.Test) {
	for _, t := range slices.Backward(c.Tests) {
		if t.TextKey == k && t.Digest == digest && len(t.To) > 0 {
			all = append(all, t)
		}
	}
	return all
}
