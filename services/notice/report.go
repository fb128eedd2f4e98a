package notice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
)

// answerReport answers event.AskReport from the ledger, and from the duties of
// the case.
func (s *Service) answerReport(ctx context.Context, q event.ReportQuestion) (a event.ReportAnswer, err error) {
	c, err := s.cfg.Journal.Load(ctx, q.Org, q.Case)
	if errors.Is(err, journal.ErrNotFound) {
		return a, bus.Refuse("not_found", "there is no case %s", q.Case)
	}
	if err != nil {
		return a, err
	}
	places := standings{}
	if a.Lines, err = s.reportLines(ctx, q, places); err != nil {
		return a, err
	}
	a.Duties, a.Substitute = byDuty(c, places)
	ordered, err := s.standsPublic(ctx, c)
	if err != nil {
		return a, err
	}
	for i := range a.Substitute {
		a.Substitute[i].Ordered = ordered
	}
	a.Files, err = s.paperFiles(ctx, q.Org, q.Case)
	return a, err
}

// standings counts the people of the first notices by where they live.
type standings map[string]*event.DutyReport

// reportLines counts messages, and adds their people to the standings of their places.
func (s *Service) reportLines(ctx context.Context, q event.ReportQuestion, places standings) ([]event.ReportLine, error) {
	rows, err := s.store.db.QueryContext(ctx, `SELECT c.kind, m.channel, m.place, m.state, m.reason, COUNT(*) FROM campaign c JOIN message m ON m.campaign=c.id
		WHERE c.org=$1 AND c.case_id=$2 GROUP BY c.kind, m.channel, m.place, m.state, m.reason ORDER BY c.kind, m.channel, m.place, m.state, m.reason`, q.Org, q.Case)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	defer func() { _ = rows.Close() }()
	lines := []event.ReportLine{}
	for rows.Next() {
		var ch Channel
		var st State
		var why Reason
		var place int64
		var l event.ReportLine
		if err := rows.Scan(&l.Kind, &ch, &place, &st, &why, &l.People); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		l.Channel, l.Jurisdiction, l.State, l.Reason = ch.String(), unpackPlace(place), st.String(), why.String()
		lines = append(lines, l)
		if l.Kind == "first" {
			places.add(l.Jurisdiction, st, l.People)
		}
	}
	return lines, rows.Err()
}

func (s standings) add(place string, st State, n int64) {
	if s[place] == nil {
		s[place] = &event.DutyReport{Jurisdiction: place}
	}
	at := s[place]
	switch st.Counts() {
	case Pending:
		at.Pending += n
	case Told:
		at.Told += n
	case Doubtful:
		at.InDoubt += n
	case Unreached:
		at.Unreachable += n
	case LeftOut:
		at.Excluded += n
	default:
		return
	}
	at.People += n
}

// under sums up the places where the law of a jurisdiction holds; "" is everywhere.
func (s standings) under(jurisdiction string) (sum event.DutyReport) {
	for place, at := range s {
		if !within(place, jurisdiction) {
			continue
		}
		sum.People += at.People
		sum.Told += at.Told
		sum.Pending += at.Pending
		sum.InDoubt += at.InDoubt
		sum.Unreachable += at.Unreachable
		sum.Excluded += at.Excluded
	}
	return sum
}

// within reports whether a place such as "US-CA" lies in a jurisdiction such as "US".
func within(place, jurisdiction string) bool {
	return jurisdiction == "" || place == jurisdiction || strings.HasPrefix(place, jurisdiction+"-")
}

// byDuty counts people by the duties to tell them, and proposes to tell the
// public where they cannot be told or a law allows it for their number. People
// who cannot be told and stand under no duty are proposed by their place.
func byDuty(c *casefile.Case, places standings) (duties []event.DutyReport, proposals []event.SubstituteProposal) {
	covered := map[string]bool{}
	for _, d := range c.Duties {
		if d.ToKind != "people" || d.State == casefile.DutyDropped || !d.Binds() {
			continue
		}
		n := places.under(d.Jurisdiction)
		if n.People == 0 {
			continue
		}
		n.Duty, n.Title, n.Jurisdiction = d.ID, d.Title, d.Jurisdiction
		duties = append(duties, n)
		if d.Substitute == nil {
			continue
		}
		for place := range places {
			covered[place] = covered[place] || within(place, d.Jurisdiction)
		}
		over := d.Substitute.PeopleOver > 0 && n.People > d.Substitute.PeopleOver
		if n.Unreachable == 0 && !over {
			continue
		}
		proposals = append(proposals, event.SubstituteProposal{
			Duty: d.ID, Title: d.Title, Citation: d.Citation, Jurisdiction: d.Jurisdiction, Unreachable: n.Unreachable, People: n.People,
			PeopleOver: d.Substitute.PeopleOver, CostOver: d.Substitute.CostOver, If: d.Substitute.If, Exceeded: over, Parts: d.Substitute.Parts,
		})
	}
	for place, n := range places {
		if n.Unreachable > 0 && !covered[place] {
			proposals = append(proposals, event.SubstituteProposal{Jurisdiction: place, Unreachable: n.Unreachable, People: n.People})
		}
	}
	slices.SortFunc(duties, func(x, y event.DutyReport) int { return strings.Compare(x.Duty, y.Duty) })
	slices.SortFunc(proposals, func(x, y event.SubstituteProposal) int {
		if x.Unreachable != y.Unreachable {
			return int(y.Unreachable - x.Unreachable)
		}
		return strings.Compare(x.Duty+x.Jurisdiction, y.Duty+y.Jurisdiction)
	})
	return duties, proposals
}
