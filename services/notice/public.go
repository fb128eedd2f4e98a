package notice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"sync"
	"time"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/wording"
)

// publicAudience is the audience of texts for everybody.
const publicAudience = "public"

// publicFor is how long a public page is served before the case is asked again.
const publicFor = 5 * time.Second

// publicPages remembers pages for a moment: anybody may ask for one, and many
// do at once when a link is in the news.
type publicPages struct {
	mu  sync.Mutex
	all map[string]publicPage
}

type publicPage struct {
	body []byte // nil: there is no page
	at   time.Time
}

func (p *publicPages) get(key string, now time.Time) (publicPage, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	page, ok := p.all[key]
	return page, ok && now.Sub(page.at) < publicFor
}

func (p *publicPages) put(key string, page publicPage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil || len(p.all) >= 256 {
		p.all = map[string]publicPage{}
	}
	p.all[key] = page
}

// public serves the notice to everybody of a case: an approved text under an
// order for the channel "page", and nothing else. Whatever is missing, the
// answer is the same 404, so that it does not say which cases exist.
func (s *Service) public(w http.ResponseWriter, r *http.Request) {
	org, caseID, language := r.PathValue("org"), r.PathValue("case"), r.URL.Query().Get("lang")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	o, err := s.cfg.Organisations.Get(org)
	if err != nil || len(caseID) > 64 || len(language) > 35 || !event.ValidToken(caseID) {
		http.NotFound(w, r)
		return
	}
	key := org + "\x00" + caseID + "\x00" + language
	page, ok := s.pages.get(key, s.cfg.Now())
	if !ok {
		body, err := s.pageOf(r.Context(), o, caseID, language)
		if err != nil {
			s.log.ErrorContext(r.Context(), "a public page could not be made", "org", org, "case", caseID, "error", err)
			http.Error(w, "not available for the moment", http.StatusServiceUnavailable)
			return
		}
		page = publicPage{body, s.cfg.Now()}
		s.pages.put(key, page)
	}
	if page.body == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = w.Write(page.body)
}

// pageOf returns the public page of a case, or nil.
func (s *Service) pageOf(ctx context.Context, org *organisation.Organisation, caseID, language string) ([]byte, error) {
	c, err := s.cfg.Journal.Load(ctx, org.ID, caseID)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.publicPage(ctx, org, c, language)
}

// publicPage returns the page of the newest order that allows one, or nil.
func (s *Service) publicPage(ctx context.Context, org *organisation.Organisation, c *casefile.Case, language string) ([]byte, error) {
	for _, o := range slices.Backward(c.Orders) {
		body, err := s.putUp(ctx, c, o, org, language)
		if body != nil || err != nil {
			return body, err
		}
	}
	return nil, nil
}

// putUp returns the page that an order puts up now, or nil.
func (s *Service) putUp(ctx context.Context, c *casefile.Case, o *casefile.Order, org *organisation.Organisation, language string) ([]byte, error) {
	if !slices.Contains(o.Channels, Page.String()) || o.Stopped || o.NotBefore != nil && s.cfg.Now().Before(*o.NotBefore) ||
		o.State == casefile.OrderPaused || o.State == casefile.OrderStopped || o.State == casefile.OrderRefused {
		return nil, nil
	}
	keys, err := s.keys.get()
	if err != nil {
		return nil, err
	}
	// The page stays when the approval's window has ended: it was put up within it.
	if approval.ForOrder(c, o, org, keys, o.OrderedAt) != nil {
		return nil, nil
	}
	k, err := s.contents.get(c, o, org)
	if err != nil {
		s.log.WarnContext(ctx, "a public text cannot be shown", "org", org.ID, "case", c.Number, "error", err)
		return nil, nil
	}
	return s.publicText(ctx, k, language), nil
}

// standsPublic reports whether any order of a case has its public notice up.
func (s *Service) standsPublic(ctx context.Context, c *casefile.Case) (bool, error) {
	org, err := s.cfg.Organisations.Get(c.Org)
	if err != nil {
		return false, err
	}
	body, err := s.publicPage(ctx, org, c, "")
	return body != nil, err
}

// countPublic counts the people of a campaign for whom a public notice stands:
// all whom no message reaches because they have no address left, and all whom
// the order leaves to it. None of them counts as told.
func (s *Service) countPublic(ctx context.Context, c *casefile.Case, campaign int64, t *event.Tally) error {
	up, err := s.standsPublic(ctx, c)
	if err != nil || !up {
		return err
	}
	// Nobody else leaves the state Excluded, so what came in and what went out is exact.
	var left int64
	err = s.store.db.QueryRowContext(ctx, `SELECT COALESCE(SUM(CASE WHEN state=$2 AND reason=$3 THEN n WHEN was=$2 THEN -n ELSE 0 END),0)
		FROM moved WHERE campaign=$1`, campaign, Excluded, ReasonPublicNotice).Scan(&left)
	if err != nil {
		return fmt.Errorf("count whom the public notice is for: %w", err)
	}
	t.Public = t.Unreachable + left
	return nil
}

var publicLayout = template.Must(template.New("public").Parse(`<!DOCTYPE html>
<html lang="{{.Language}}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title></head>
<body>
{{if gt (len .Languages) 1}}<nav>{{range .Languages}}<a href="?lang={{.}}" lang="{{.}}" hreflang="{{.}}">{{.}}</a> {{end}}</nav>
{{end}}<main>
<h1>{{.Title}}</h1>
{{.Body}}</main>
<footer><p>{{.Organisation}}</p></footer>
</body>
</html>
`))

// publicText renders the public text in the language asked for, or else the
// organisation's, or else the first. A text with a personal field is never shown.
func (s *Service) publicText(ctx context.Context, k *content, language string) []byte {
	var keys []event.TextKey
	var languages []string
	for _, t := range k.a.Texts {
		if t.Audience == publicAudience && t.Channel == Page.Text() {
			keys, languages = append(keys, t.TextKey), append(languages, t.Language)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(languages)
	key, ok := wording.Choose(keys, publicAudience, Page.Text(), language)
	if !ok {
		key, ok = wording.Choose(keys, publicAudience, Page.Text(), k.org.Language)
	}
	if !ok {
		key = keys[0]
	}
	t, nobody := k.texts[key], wording.Recipient{Contact: &person.Contact{}}
	if t == nil {
		return nil
	}
	v := t.Variant(nobody)
	m, err := t.Render(nobody)
	if len(v.Slots) > 0 || err != nil {
		s.log.WarnContext(ctx, "a public text is not shown: it has personal fields", "org", k.org.ID, "case", k.c.Number, "text", t.Key())
		return nil
	}
	title := m.Subject
	if title == "" {
		title = k.org.Name
	}
	var out bytes.Buffer
	err = publicLayout.Execute(&out, map[string]any{
		"Language": key.Language, "Languages": languages, "Title": title, "Organisation": k.org.Name,
		"Body": template.HTML(m.HTML), //nolint:gosec // goldmark has dropped raw HTML and dangerous links
	})
	if err != nil {
		return nil
	}
	return out.Bytes()
}
