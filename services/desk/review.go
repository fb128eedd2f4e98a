package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// CommentWording records a remark on a passage of the version that was read.
func (s *Service) CommentWording(ctx context.Context, who User, on On, m event.WordingCommented) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: mayDraft,
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			if err := open(c); err != nil {
				return nil, err
			}
			text := c.Texts[m.TextKey]
			if text == nil {
				return nil, fmt.Errorf("text %s of case %s: %w", m.TextKey, c.Number, ErrNotFound)
			}
			bad := &Invalid{}
			m.Passage, m.Comment = strings.TrimSpace(strings.ReplaceAll(m.Passage, "\r\n", "\n")), strings.TrimSpace(m.Comment)
			checkLength(bad, "comment", m.Comment, 1, maxLine, "Write the remark")
			checkLength(bad, "passage", m.Passage, 0, maxLine, "")
			switch {
			case text.Digest != m.Digest:
				return nil, refuse("text_changed", "a newer version of %s exists; read that one", m.TextKey)
			case m.Passage != "" && !strings.Contains(text.Subject+"\n"+text.Body, m.Passage):
				bad.add("passage", "The text does not hold this passage; copy it as it stands")
			}
			return []event.Body{m}, bad.or()
		},
	})
}

// OverrideCheck lets a finding of the wording checks stand, with the reason.
// It holds for the version that was read, and a writer of any text cannot do it.
func (s *Service) OverrideCheck(ctx context.Context, who User, on On, o event.CheckOverridden) (*casefile.Case, error) {
	org, err := s.cfg.Organisations.Get(who.Org)
	if err != nil {
		return nil, err
	}
	return s.perform(ctx, act{
		who: who, on: on, roles: mayReject, matters: voidsApproval,
		decide: func(c *casefile.Case, _ event.Actor, now time.Time) ([]event.Body, error) {
			if err := open(c); err != nil {
				return nil, err
			}
			if c.Writers[who.ID] && !org.Approval.OnePerson {
				return nil, refuse("writer_cannot_override", "you wrote part of the wording; somebody else must decide about its checks")
			}
			p := propose(org, c, now)
			found := false
			for _, f := range p.Findings {
				if f.Check == o.Check && f.Text == o.TextKey && f.Blocks {
					if !f.Overridable {
						return nil, refuse("not_overridable", "%s cannot be overridden: %s", o.Check, f.Message)
					}
					found = true
				}
			}
			if !found {
				return nil, fmt.Errorf("finding %q of case %s: %w", o.Check, c.Number, ErrNotFound)
			}
			o.Digest = digestOf(c, o.TextKey)
			bad := &Invalid{}
			o.Reason = strings.TrimSpace(o.Reason)
			checkLength(bad, "reason", o.Reason, 3, maxLine, "Say why it may stand; the record must stand up later")
			return []event.Body{o}, bad.or()
		},
	})
}

// digestOf returns the digest of the newest version of a text; "" for the set as a whole.
func digestOf(c *casefile.Case, k event.TextKey) string {
	if t := c.Texts[k]; t != nil {
		return t.Digest
	}
	return ""
}

// overridden returns the override that lets a finding of a check stand, if there is one.
func overridden(c *casefile.Case, check string, k event.TextKey) (casefile.Override, bool) {
	i := slices.IndexFunc(c.Overrides, func(o casefile.Override) bool {
		return o.Check == check && o.TextKey == k && o.Digest == digestOf(c, k)
	})
	if i < 0 {
		return casefile.Override{}, false
	}
	return c.Overrides[i], true
}

// RevokeApproval takes an approval back. Whoever may approve may revoke.
func (s *Service) RevokeApproval(ctx context.Context, who User, on On, r event.ApprovalRevoked) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: []Role{Legal, DPO, Admin},
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			a := c.Approval(r.Approval)
			if a == nil {
				return nil, fmt.Errorf("approval %q of case %s: %w", r.Approval, c.Number, ErrNotFound)
			}
			if a.Revoked != "" {
				return nil, nil
			}
			bad := &Invalid{}
			r.Reason = strings.TrimSpace(r.Reason)
			checkLength(bad, "reason", r.Reason, 3, maxLine, "Say why it is taken back")
			return []event.Body{r}, bad.or()
		},
	})
}

// AcknowledgeDuty says that a person has seen the reminder; it stops its escalation.
func (s *Service) AcknowledgeDuty(ctx context.Context, who User, on On, a event.DutyAcknowledged) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: []Role{DPO, Legal},
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			if _, err := pendingDuty(c, a.Duty); err != nil {
				return nil, err
			}
			bad := &Invalid{}
			a.Note = strings.TrimSpace(a.Note)
			checkLength(bad, "note", a.Note, 0, maxLine, "")
			return []event.Body{a}, bad.or()
		},
	})
}
