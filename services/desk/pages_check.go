package desk

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
)

// checkWait is how long the page of the checks waits for the walk over the list
// before it shows how far it is.
const checkWait = 500 * time.Millisecond

// personLink leads to the preview of one person's notice.
type personLink struct {
	Number person.Number
	// Link is empty for a reader who may not look.
	Link string
}

// findingView is a finding as the page of the checks shows it.
type findingView struct {
	wording.Finding
	// Name and Link are the text it is about.
	Name, Link string
	Examples   []personLink
}

// groupView counts people who are alike, with examples of them.
type groupView struct {
	Name     string
	Parts    []string
	People   int64
	Examples []personLink
}

type checkPage struct {
	casePage
	Texts       []textView
	SheetDigest string
	List        event.WordingAnswer
	// Sealed is the list that is checked; nil if there is none.
	Sealed *casefile.Sealed
	// Stale says why the results are not about the case as it is, or is empty.
	Stale                             string
	Findings                          []findingView
	Blocking                          int
	Samples, Variants, Unworded       []groupView
	MayOverride, MayPreview, Finished bool
	Walked                            string
	Percent                           float64
}

// mayOverride says who may let a finding stand: a reviewer who wrote none of the texts.
func mayOverride(org *organisation.Organisation, c *casefile.Case, u User) bool {
	return u.Has(mayReject...) && (!c.Writers[u.ID] || org.Approval.OnePerson) && c.Status == casefile.StatusOpen
}

func (s *Service) pageCheck(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderCheck(w, r, u, nil)
}

// renderCheck shows every finding of the checks, of the words and of the whole list.
func (s *Service) renderCheck(w http.ResponseWriter, r *http.Request, u User, cause error) error {
	if _, err := mayAct(u, mayRead); err != nil {
		return err
	}
	c, org, err := s.caseAndOrg(r, u)
	if err != nil {
		return err
	}
	page := checkPage{casePage: s.caseFrame(r, u, c, "Checks over the whole list"), Texts: s.textViews(c), SheetDigest: c.SheetDigest(),
		Sealed: c.Latest(), MayOverride: mayOverride(org, c, u), MayPreview: u.Has(mayPreview...)}
	page.Back, page.BackText = "/cases/"+c.Number+"/wording", "Texts"
	p := propose(org, c, s.cfg.Now())
	findings := p.Findings
	if page.Sealed != nil && len(page.Texts) > 0 {
		if page.List, err = s.Survey(r.Context(), u, c.Number, checkWait); err != nil {
			page.List.Problem = answer(err).Message
		}
		page.walk(c, &p)
		if page.Finished || page.List.Problem != "" {
			findings = append(findings, readSurvey(page.List, &p)...)
		}
	}
	page.show(findings)
	return s.renderForm(w, "check", &page.Frame, &page, cause)
}

// walk says how far the walk over the list is, and whether it is about the case as it stands.
func (page *checkPage) walk(c *casefile.Case, p *Proposal) {
	a := page.List
	page.Finished = a.Done && a.Problem == ""
	page.Walked, page.Percent = walkedWords(a), walkedPercent(a)
	switch {
	case a.Problem != "":
	case c.Exposure != nil && page.Sealed.Statement != c.Exposure.EventID:
		page.Stale = "The exposure was stated anew after this list was sealed. A new list is on its way; these results are about the old one."
	case !sameWords(a, p):
		page.Stale = "The texts, the facts sheet or the list changed while they were being checked. Look again."
	}
	if !a.Done {
		page.Live = "/cases/" + c.Number + "/wording/check/live"
	}
}

func walkedWords(a event.WordingAnswer) string {
	return Number(a.Checked) + " of " + Number(a.People) + " people checked"
}

func walkedPercent(a event.WordingAnswer) float64 {
	if a.People == 0 {
		return 0
	}
	return 100 * float64(a.Checked) / float64(a.People)
}

// show orders the findings, those that block first, and lists who gets what.
func (page *checkPage) show(findings []wording.Finding) {
	slices.SortStableFunc(findings, func(a, b wording.Finding) int { return boolOrder(b.Blocks) - boolOrder(a.Blocks) })
	for _, f := range findings {
		v := findingView{Finding: f, Examples: page.examples(f.Text.Channel, f.Numbers)}
		if f.Text != (event.TextKey{}) {
			v.Name, v.Link = textName(f.Text), textPath(page.Case.Number, f.Text)
		}
		if f.Blocks {
			page.Blocking++
		}
		page.Findings = append(page.Findings, v)
	}
	if !page.Finished {
		return
	}
	for _, x := range page.List.Samples {
		page.Samples = append(page.Samples, groupView{Name: sampleWords[x.Kind], People: x.People, Examples: page.examples("", x.Numbers)})
	}
	for _, x := range page.List.Unworded {
		page.Unworded = append(page.Unworded, groupView{Name: textName(x.TextKey), People: x.People, Examples: page.examples(x.Channel, x.Numbers)})
	}
	for _, x := range page.List.Variants {
		page.Variants = append(page.Variants, groupView{Name: textName(x.TextKey), Parts: partsWords(x.Conditions), People: x.People, Examples: page.examples(x.Channel, x.Numbers)})
	}
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// partsWords say in words for whom conditional parts of a text are.
func partsWords(conditions []string) []string {
	out := make([]string, len(conditions))
	for i, c := range conditions {
		out[i] = partWords(c)
	}
	return out
}

func partWords(condition string) string {
	for prefix, words := range map[string]string{"person.relation.": "relation: ", "person.residency.": "lives in "} {
		if value, ok := strings.CutPrefix(condition, prefix); ok {
			return words + value
		}
	}
	if code, ok := strings.CutPrefix(condition, "exposed."); ok {
		return categoryNames([]string{code}) + " exposed"
	}
	words := map[string]string{"person.minor": "a minor", "person.has_name": "name known", "person.has_source": "source of the address known", "notice.possible_duplicate": "a possible second copy"}
	return firstOf(words[condition], condition)
}

// sampleWords say in words why a notice is worth a look.
var sampleWords = map[string]string{
	"no_name": "No name is known", "no_given_name": "Only a family name is known", "minor": "A child or young person",
	"payment_card": "A payment card was exposed", "other_language": "Reads another language than the organisation's",
	"unknown_language": "The language is not known", "unreachable": "No address on any channel that has a text",
}

func (page *checkPage) examples(textChannel string, numbers []person.Number) []personLink {
	out := make([]personLink, len(numbers))
	for i, n := range numbers {
		out[i].Number = n
		if page.MayPreview {
			out[i].Link = previewPath(page.Case.Number, n, ChannelOf(textChannel))
		}
	}
	return out
}

// liveCheck tells an open page how far the walk over the list is.
func (s *Service) liveCheck(w http.ResponseWriter, r *http.Request, u User) error {
	number := r.PathValue("number")
	if _, err := s.Case(r.Context(), u, number); err != nil {
		return err
	}
	return s.liveNews(w, r, u, func(ctx context.Context) (progressNews, error) {
		a, err := s.Survey(ctx, u, number, progressBeat)
		n := progressNews{Words: walkedWords(a), Ended: a.Done, Tenth: int(walkedPercent(a) / 10)}
		n.Numbers = map[string]string{"walked": n.Words, "percent": strconv.Itoa(int(walkedPercent(a)))}
		n.Bars = []barNews{{ID: "walked-bar", W: walkedPercent(a)}}
		return n, err
	})
}
