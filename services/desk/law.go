package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/duty"
	"tocsin.dev/pkg/law"
	"tocsin.dev/pkg/rulebook"
)

// mayChangeLaw may propose and accept rule packages for the organisation.
var mayChangeLaw = []Role{Legal, DPO}

// checkLawFact says what is wrong with a statement that claims to be a fact
// for the law, and with one that nothing reads at all.
func (s *Service) checkLawFact(org, key, value string) error {
	if s.cfg.Book == nil {
		return nil
	}
	prefix, _, _ := strings.Cut(key, ".")
	if !duty.IsLaw(key) && slices.Contains(factsOfTexts, prefix) {
		return nil
	}
	var bad *duty.FactError
	if err := duty.Check(s.cfg.Book.For(org), key, value); errors.As(err, &bad) {
		return invalid(bad.Field, "%s: %s", bad.Key, bad.Why)
	}
	return nil
}

// factsOfTexts are the first words of facts that texts and sendings read.
var factsOfTexts = []string{"sheet", "notice", "override"}

// LawFacts returns the facts of a case as the rules read them, as of an instant; zero means now.
func (s *Service) LawFacts(ctx context.Context, who User, number string, asOf time.Time) (law.Facts, error) {
	if _, err := mayAct(who, mayRead); err != nil {
		return law.Facts{}, err
	}
	c, err := s.load(ctx, who.Org, number)
	if err == nil && !asOf.IsZero() {
		c, err = s.CaseAsOf(ctx, who, number, asOf)
	}
	if err != nil {
		return law.Facts{}, err
	}
	return s.factsOf(c)
}

func (s *Service) factsOf(c *casefile.Case) (law.Facts, error) {
	org, err := s.cfg.Organisations.Get(c.Org)
	if err != nil {
		return law.Facts{}, err
	}
	return duty.Facts(org, c), nil
}

// ExplainDuty says which nearest facts would change a duty of a case.
func (s *Service) ExplainDuty(ctx context.Context, who User, number, id string) (law.Explanation, error) {
	facts, err := s.LawFacts(ctx, who, number, time.Time{})
	if err != nil {
		return law.Explanation{}, err
	}
	book, err := s.book()
	if err != nil {
		return law.Explanation{}, err
	}
	x, err := book.For(who.Org).Explain(facts, s.cfg.Now(), id)
	if err != nil {
		return x, fmt.Errorf("%w: %w", err, ErrNotFound)
	}
	return x, nil
}

// FactWords returns every fact that the rules of the organisation read.
func (s *Service) FactWords(who User) ([]duty.Word, error) {
	if _, err := mayAct(who, mayRead); err != nil {
		return nil, err
	}
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	return duty.Words(book.For(who.Org)), nil
}

func (s *Service) book() (*rulebook.Book, error) {
	if s.cfg.Book == nil {
		return nil, refuse("no_rules", "this desk has no rules")
	}
	return s.cfg.Book, nil
}

// PackageEffect is what a rule package would do.
type PackageEffect struct {
	Package rulebook.Package
	// Problems are why it cannot be proposed; each names file and line.
	Problems []string
	// Affected are the open cases that it would touch now.
	Affected []law.Affected
}

// CheckPackage checks a rule package and says which open cases it would touch. An empty one is the built-in package.
func (s *Service) CheckPackage(ctx context.Context, who User, packed []byte) (PackageEffect, error) {
	return s.inspect(ctx, who, packed, nil)
}

// ProposePackage is CheckPackage, and keeps a package without problems as a proposal of the person.
func (s *Service) ProposePackage(ctx context.Context, who User, note string, packed []byte) (PackageEffect, error) {
	return s.inspect(ctx, who, packed, func(book *rulebook.Book, packed []byte) (rulebook.Package, error) {
		p, _, err := book.Propose(ctx, who.Org, who.ID, strings.TrimSpace(note), packed)
		return p, err
	})
}

func (s *Service) inspect(ctx context.Context, who User, packed []byte, keep func(*rulebook.Book, []byte) (rulebook.Package, error)) (PackageEffect, error) {
	book, err := s.lawyersBook(who)
	if err != nil {
		return PackageEffect{}, err
	}
	if len(packed) == 0 {
		if packed, err = rulebook.BuiltIn(); err != nil {
			return PackageEffect{}, err
		}
	}
	rules, p, problems, err := book.Inspect(who.Org, packed)
	switch {
	case errors.Is(err, rulebook.ErrBadPackage):
		return PackageEffect{}, invalid("package", "%s", err)
	case errors.Is(err, rulebook.ErrProblems):
		return PackageEffect{Package: p, Problems: problems}, nil
	case err != nil:
		return PackageEffect{}, err
	}
	if keep != nil {
		if p, err = keep(book, packed); err != nil {
			return PackageEffect{}, err
		}
	}
	affected, err := s.affected(ctx, who, rules)
	return PackageEffect{Package: p, Affected: affected}, err
}

// affected compares, for every open case, the duties under the rules that hold with those under others.
func (s *Service) affected(ctx context.Context, who User, next *law.Rules) ([]law.Affected, error) {
	cases, err := s.Cases(ctx, who)
	if err != nil {
		return nil, err
	}
	open := map[string]law.Facts{}
	for _, c := range cases {
		if c.Status != casefile.StatusOpen {
			continue
		}
		if open[c.Number], err = s.factsOf(c); err != nil {
			return nil, err
		}
	}
	return s.cfg.Book.For(who.Org).AffectedBy(next, open, s.cfg.Now()), nil
}

// Package returns a proposed rule package with the open cases that it would touch now.
func (s *Service) Package(ctx context.Context, who User, digest string) (PackageEffect, error) {
	all, err := s.Packages(ctx, who)
	if err != nil {
		return PackageEffect{}, err
	}
	for _, p := range all {
		if !strings.HasPrefix(p.Digest, strings.TrimPrefix(digest, "sha256:")) {
			continue
		}
		rules, err := s.cfg.Book.Rules(ctx, who.Org, p.Digest)
		if err != nil {
			return PackageEffect{}, err
		}
		affected, err := s.affected(ctx, who, rules)
		return PackageEffect{Package: p, Affected: affected}, err
	}
	return PackageEffect{}, fmt.Errorf("rule package %s: %w", digest, ErrNotFound)
}

// Packages returns the rule packages that were proposed in the organisation, newest first.
func (s *Service) Packages(ctx context.Context, who User) ([]rulebook.Package, error) {
	book, err := s.lawyersBook(who)
	if err != nil {
		return nil, err
	}
	return book.Packages(ctx, who.Org)
}

// AcceptPackage lets a proposed rule package hold for the organisation. The proposer is refused.
func (s *Service) AcceptPackage(ctx context.Context, who User, digest string) (rulebook.Package, error) {
	book, err := s.lawyersBook(who)
	if err != nil {
		return rulebook.Package{}, err
	}
	p, err := book.Accept(ctx, who.Org, who.ID, digest)
	switch {
	case errors.Is(err, rulebook.ErrSamePerson):
		return p, refuse("proposer_cannot_accept", "you proposed this rule package; somebody else must accept it")
	case errors.Is(err, rulebook.ErrNoProposal):
		return p, fmt.Errorf("%w: %w", err, ErrNotFound)
	}
	return p, err
}

func (s *Service) lawyersBook(who User) (*rulebook.Book, error) {
	if _, err := mayAct(who, mayChangeLaw); err != nil {
		return nil, err
	}
	return s.book()
}

// CalendarURL returns the secret address of the iCalendar feed for one of the person's roles.
func (s *Service) CalendarURL(who User, role Role) (string, error) {
	if role == "" && len(who.Roles) > 0 {
		role = who.Roles[0]
	}
	if !who.Has(role) {
		return "", &Forbidden{Why: "you do not have the role " + string(role)}
	}
	if s.cfg.Calendar == nil {
		return "", refuse("no_calendar", "this desk does not know the calendar's key; set keys.calendar")
	}
	return s.cfg.Calendar(who.Org, string(role)), nil
}
