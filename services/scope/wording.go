package scope

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/scope/inventory"
)

// surveyorsAtOnce is how many goroutines share one list.
const surveyorsAtOnce = 2

// keptSurveys bounds the finished surveys that are remembered.
const keptSurveys = 32

// factLanguageFallback is the fact by which a person decides that readers of
// languages without a text get the organisation's.
const factLanguageFallback = "notice.language_fallback"

// surveys are the walks of this process over sealed lists, by what they are of.
// They outlive the question that began them, so that a page that is opened
// again finds them done.
type surveys struct {
	queue chan func(context.Context)

	mu    sync.Mutex
	all   map[string]*survey
	order []string
}

func newSurveys() *surveys {
	return &surveys{queue: make(chan func(context.Context), keptSurveys), all: map[string]*survey{}}
}

// work walks one list after the other until ctx ends.
func (q *surveys) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case walk := <-q.queue:
			walk(ctx)
		}
	}
}

// survey is one walk.
type survey struct {
	done chan struct{}

	mu     sync.Mutex
	answer event.WordingAnswer
	err    error
}

// answerWording lays the case's texts over its newest sealed list. It waits a
// moment for the end, and otherwise says how far it is.
func (s *Service) answerWording(ctx context.Context, q event.WordingQuestion) (event.WordingAnswer, error) {
	var none event.WordingAnswer
	if err := s.known(q.Org); err != nil {
		return none, err
	}
	if err := allowed(q.Asker, []string{"analyst", "legal", "dpo", "admin"}); err != nil {
		return none, err
	}
	c, err := s.cfg.Journal.Load(ctx, q.Org, q.Case)
	if errors.Is(err, journal.ErrNotFound) {
		return none, bus.Refuse("not_found", "there is no case %q", q.Case)
	}
	if err != nil {
		return none, err
	}
	if c.Latest() == nil || len(c.Texts) == 0 {
		return event.WordingAnswer{Done: true, Problem: "the case has no sealed list or no text yet"}, nil
	}
	v, err := s.surveyOf(ctx, c, q.Asker)
	if err != nil {
		return none, refusal(err)
	}
	wait := 2 * time.Second
	if q.Wait > 0 {
		wait = min(time.Duration(q.Wait)*time.Millisecond, time.Minute)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-v.done:
	case <-t.C:
	case <-ctx.Done():
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.answer
	a.SheetDigest = c.SheetDigest() // facts are the same for everybody: a changed one needs no new walk
	return a, refusal(v.err)
}

// surveyOf returns the walk over exactly these words, this list and this state
// of the inventory, and begins it if nobody has.
func (s *Service) surveyOf(ctx context.Context, c *casefile.Case, asker event.Actor) (*survey, error) {
	generation, err := s.store.Generation(ctx, c.Org)
	if err != nil {
		return nil, err
	}
	head := headOf(c)
	key := fmt.Sprintf("%s/%s %d %s %d %v", c.Org, c.Number, head.Revision, head.ScopeDigest, generation, c.Facts[factLanguageFallback].Value != "")
	for _, t := range head.Texts {
		key += " " + t.TextKey.String() + " " + t.Digest
	}
	s.surveys.mu.Lock()
	defer s.surveys.mu.Unlock()
	if v := s.surveys.all[key]; v != nil {
		return v, nil
	}
	v := &survey{done: make(chan struct{}), answer: head}
	parts, err := s.newParts(c)
	if err != nil { // words that do not compile are a finding, not a failure
		v.answer.Done, v.answer.Problem = true, err.Error()
		close(v.done)
		return v, nil
	}
	if err := s.store.WalkBegins(ctx, c.Org, c.Number, head.Revision, asker.ID+" ("+asker.Role+")", "check of the wording"); err != nil {
		return nil, err
	}
	select {
	case s.surveys.queue <- func(ctx context.Context) { s.walk(ctx, c, key, v, parts) }:
	default:
		return nil, bus.Refuse("busy", "too many lists are being checked; try again in a moment")
	}
	s.surveys.all[key] = v
	if s.surveys.order = append(s.surveys.order, key); len(s.surveys.order) > keptSurveys {
		delete(s.surveys.all, s.surveys.order[0])
		s.surveys.order = s.surveys.order[1:]
	}
	return v, nil
}

// headOf says what is surveyed.
func headOf(c *casefile.Case) event.WordingAnswer {
	latest := c.Latest()
	a := event.WordingAnswer{Revision: latest.Revision, ScopeDigest: latest.Digest, People: latest.People, SheetDigest: c.SheetDigest()}
	for _, k := range sortedKeys(c) {
		t := c.Texts[k]
		a.Texts = append(a.Texts, event.ApprovedText{TextKey: k, Digest: wording.Digest(k, t.Subject, t.Body)})
	}
	return a
}

func sortedKeys(c *casefile.Case) []event.TextKey {
	return slices.SortedFunc(maps.Keys(c.Texts), func(a, b event.TextKey) int { return strings.Compare(a.String(), b.String()) })
}

func (s *Service) newParts(c *casefile.Case) ([]*wording.Survey, error) {
	org, err := s.cfg.Organisations.Get(c.Org)
	if err != nil {
		return nil, err
	}
	var texts []event.WordingDrafted
	for _, k := range sortedKeys(c) {
		texts = append(texts, c.Texts[k].WordingDrafted)
	}
	parts := make([]*wording.Survey, surveyorsAtOnce)
	for i := range parts {
		if parts[i], err = wording.NewSurvey(texts, org.Language, c.Facts[factLanguageFallback].Value != ""); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// walk goes over the list with several goroutines and keeps the answer.
func (s *Service) walk(ctx context.Context, c *casefile.Case, key string, v *survey, parts []*wording.Survey) {
	defer close(v.done)
	errs := make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() {
			_, errs[i] = s.store.Walk(ctx, c.Org, c.Number, v.answer.Revision, i, len(parts), func(w inventory.Walked) error {
				lay(part, w)
				v.mu.Lock()
				defer v.mu.Unlock()
				v.answer.Checked += int64(len(w.Contacts) + w.Erased)
				return nil
			})
		})
	}
	all.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err = errors.Join(errs...); v.err != nil {
		s.cfg.Log.WarnContext(ctx, "check of the wording broken off", "org", c.Org, "case", c.Number, "error", v.err)
		s.surveys.forget(key)
		return
	}
	for _, part := range parts[1:] {
		parts[0].Merge(part)
	}
	a := parts[0].Answer()
	a.Revision, a.ScopeDigest, a.Texts, a.SheetDigest, a.People, a.Done = v.answer.Revision, v.answer.ScopeDigest, v.answer.Texts, v.answer.SheetDigest, v.answer.People, true
	v.answer = a
}

// lay lays the texts over some people, each with the guardian who is written to.
func lay(part *wording.Survey, w inventory.Walked) {
	for i := range w.Contacts {
		named := &w.Contacts[i]
		reach := named
		if g := w.Guardians[named.Guardian]; g != nil && named.AgeClass == person.AgeMinor {
			reach = g
		}
		part.Add(named, reach)
	}
	part.AddErased(w.Erased)
}

// forget lets a walk that failed be tried again.
func (q *surveys) forget(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.all, key)
}
