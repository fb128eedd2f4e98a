package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/wording"
)

// The audiences and channels of texts, in the order in which they are shown.
var (
	audiences    = []string{"people", "guardians", "partners", "public"}
	textChannels = []string{"email", "sms", "letter", "page"}
)

// DraftWording writes a new version of one text. An unchanged text writes
// nothing. The desk numbers the version and computes the digest.
func (s *Service) DraftWording(ctx context.Context, who User, on On, d event.WordingDrafted) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: mayDraft,
		matters: func(e casefile.Entry) bool {
			b, _ := event.Decode(e.Event)
			other, ok := b.(*event.WordingDrafted)
			return ok && other.TextKey == d.TextKey
		},
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			if err := open(c); err != nil {
				return nil, err
			}
			d, err := checkDraft(d)
			if err != nil {
				return nil, err
			}
			d.Version = 1
			if old := c.Texts[d.TextKey]; old != nil {
				if old.Digest == d.Digest && old.Rejected == "" {
					return nil, nil
				}
				d.Version = old.Version + 1
			}
			return []event.Body{d}, nil
		},
	})
}

func checkDraft(d event.WordingDrafted) (event.WordingDrafted, error) {
	bad := &Invalid{}
	checkKey(bad, d.TextKey)
	// A browser sends CRLF; the text that is signed has LF.
	d.Body = strings.TrimRight(strings.ReplaceAll(d.Body, "\r\n", "\n"), " \n\t")
	d.Subject = strings.TrimSpace(d.Subject)
	checkLength(bad, "body", d.Body, 1, maxBody, "Write the text")
	checkLength(bad, "subject", d.Subject, 0, 300, "")
	if d.Channel == "sms" && d.Subject != "" {
		bad.add("subject", "An SMS has no subject")
	}
	if d.Channel == "email" && d.Subject == "" {
		bad.add("subject", "An email needs a subject")
	}
	if err := bad.or(); err != nil {
		return d, err
	}
	if _, err := wording.Compile(d.TextKey, d.Subject, d.Body); err != nil {
		return d, invalid("body", "%s", err)
	}
	d.Digest = wording.Digest(d.TextKey, d.Subject, d.Body)
	return d, nil
}

func checkKey(bad *Invalid, k event.TextKey) {
	if !slices.Contains(audiences, k.Audience) {
		bad.add("audience", "Choose one of %s", strings.Join(audiences, ", "))
	}
	if !slices.Contains(textChannels, k.Channel) {
		bad.add("channel", "Choose one of %s", strings.Join(textChannels, ", "))
	}
	if tag, err := language.Parse(k.Language); err != nil || tag.String() != k.Language {
		bad.add("language", "%q is not a language tag such as en-GB or sv", k.Language)
	}
}

// RejectWording sends the version with the digest back to its writer.
func (s *Service) RejectWording(ctx context.Context, who User, on On, r event.WordingRejected) (*casefile.Case, error) {
	return s.perform(ctx, act{
		who: who, on: on, roles: mayReject,
		decide: func(c *casefile.Case, _ event.Actor, _ time.Time) ([]event.Body, error) {
			if err := open(c); err != nil {
				return nil, err
			}
			text := c.Texts[r.TextKey]
			switch {
			case text == nil:
				return nil, fmt.Errorf("text %s of case %s: %w", r.TextKey, c.Number, ErrNotFound)
			case text.Digest != r.Digest:
				return nil, refuse("text_changed", "a newer version of %s exists; read that one", r.TextKey)
			case text.Rejected != "":
				return nil, nil
			}
			bad := &Invalid{}
			r.Reason = strings.TrimSpace(r.Reason)
			checkLength(bad, "reason", r.Reason, 3, maxLine, "Say what the writer should change")
			return []event.Body{r}, bad.or()
		},
	})
}

// Texts returns the newest version of every text in order of audience, channel and language.
func Texts(c *casefile.Case) []*casefile.Text {
	all := make([]*casefile.Text, 0, len(c.Texts))
	for _, t := range c.Texts {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *casefile.Text) int { return compareKeys(a.TextKey, b.TextKey) })
	return all
}

func compareKeys(a, b event.TextKey) int {
	if n := slices.Index(audiences, a.Audience) - slices.Index(audiences, b.Audience); n != 0 {
		return n
	}
	if n := slices.Index(textChannels, a.Channel) - slices.Index(textChannels, b.Channel); n != 0 {
		return n
	}
	return strings.Compare(a.Language, b.Language)
}

// Versions returns every version of every text ever written, oldest first,
// with the reason if it was sent back.
func (s *Service) Versions(ctx context.Context, who User, number string) ([]casefile.Text, error) {
	if _, err := s.load(ctx, who.Org, number); err != nil {
		return nil, err
	}
	entries, err := s.cfg.Journal.Entries(ctx, who.Org, number)
	if err != nil {
		return nil, err
	}
	var all []casefile.Text
	for _, e := range entries {
		body, err := event.Decode(e.Event)
		if err != nil {
			continue
		}
		switch b := body.(type) {
		case *event.WordingDrafted:
			all = append(all, casefile.Text{WordingDrafted: *b, Writer: e.Actor.ID, WrittenAt: e.At})
		case *event.WordingRejected:
			for i := range all {
				if all[i].TextKey == b.TextKey && all[i].Digest == b.Digest {
					all[i].Rejected = b.Reason
				}
			}
		}
	}
	return all, nil
}
