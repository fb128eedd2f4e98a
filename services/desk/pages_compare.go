package desk

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/wording"
)

// lastApproved names the version of a text that the newest approval of it covers.
const lastApproved = "approved"

// approvedVersion returns the version of a text that was approved last, or nil.
func approvedVersion(c *casefile.Case, versions []casefile.Text, k event.TextKey) *casefile.Text {
	for _, a := range slices.Backward(c.Approvals) {
		for _, approved := range a.Approval.Texts {
			if approved.TextKey != k {
				continue
			}
			return newestOf(versions, func(t casefile.Text) bool { return t.TextKey == k && t.Digest == approved.Digest })
		}
	}
	return nil
}

func newestOf(versions []casefile.Text, is func(casefile.Text) bool) *casefile.Text {
	for i := len(versions) - 1; i >= 0; i-- {
		if is(versions[i]) {
			return &versions[i]
		}
	}
	return nil
}

// sideView is one of the two versions that are compared.
type sideView struct {
	T      *casefile.Text
	Writer string
	// Approved says that it is the version approved last, Newest that no later one exists.
	Approved, Newest bool
}

// rowView is a row of two texts side by side. ID is set where they differ.
type rowView struct {
	wording.Row
	ID      string
	Subject bool
}

type comparePage struct {
	casePage
	K              event.TextKey
	Self, TextPage string
	// From and To name the versions as the form does.
	From, To      string
	FromOptions   []option
	ToOptions     []option
	Views         []option
	View          string
	Old, New      sideView
	Rows          []rowView
	Changes       []string
	Subject, Body []wording.Span
	// Others are the pages that compare the other texts of the case.
	Others []struct{ Link, Text string }
}

// comparePath is the page that compares versions of one text.
func comparePath(number string, k event.TextKey) string { return textPath(number, k) + "/compare" }

// pageCompare shows two versions of a text, side by side or inline.
func (s *Service) pageCompare(w http.ResponseWriter, r *http.Request, u User) error {
	k, err := keyOf(r)
	if err != nil {
		return err
	}
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	all, err := s.Versions(r.Context(), u, c.Number)
	if err != nil {
		return err
	}
	versions := slices.DeleteFunc(slices.Clone(all), func(t casefile.Text) bool { return t.TextKey != k })
	if len(versions) == 0 {
		return fmt.Errorf("text %s of case %s: %w", k, c.Number, ErrNotFound)
	}
	page := comparePage{casePage: s.caseFrame(r, u, c, "Compare: "+textName(k)), K: k, Self: comparePath(c.Number, k), TextPage: textPath(c.Number, k)}
	page.Back, page.BackText = page.TextPage, textName(k)
	page.choose(r, c, versions)
	page.Old.Writer, page.New.Writer = s.userName(page.Old.T.Writer), s.userName(page.New.T.Writer)
	page.lay()
	for _, t := range Texts(c) {
		if t.TextKey != k {
			page.Others = append(page.Others, struct{ Link, Text string }{comparePath(c.Number, t.TextKey), textName(t.TextKey)})
		}
	}
	return s.pages.Render(w, http.StatusOK, "compare", &page)
}

// choose finds the two versions. Without a choice the newest is held against
// the one approved last, or against the one before it.
func (p *comparePage) choose(r *http.Request, c *casefile.Case, versions []casefile.Text) {
	newest, approved := &versions[len(versions)-1], approvedVersion(c, versions, p.K)
	if approved != nil {
		p.FromOptions = append(p.FromOptions, option{Value: lastApproved, Text: fmt.Sprintf("The last approved one (version %d)", approved.Version)})
	}
	for _, t := range slices.Backward(versions) {
		o := option{Value: strconv.Itoa(t.Version), Text: fmt.Sprintf("Version %d", t.Version)}
		p.FromOptions, p.ToOptions = append(p.FromOptions, o), append(p.ToOptions, o)
	}
	named := func(name string) *casefile.Text {
		if name == lastApproved {
			return approved
		}
		return newestOf(versions, func(t casefile.Text) bool { return strconv.Itoa(t.Version) == name })
	}
	p.From = r.URL.Query().Get("from")
	p.Old.T, p.New.T = named(p.From), named(r.URL.Query().Get("to"))
	if p.New.T == nil {
		p.New.T = newest
	}
	if p.Old.T == nil {
		p.Old.T, p.From = approved, lastApproved
	}
	if p.Old.T == nil {
		p.Old.T = &versions[max(slices.IndexFunc(versions, func(t casefile.Text) bool { return t.Version == p.New.T.Version })-1, 0)]
		p.From = strconv.Itoa(p.Old.T.Version)
	}
	p.To = strconv.Itoa(p.New.T.Version)
	for _, side := range []*sideView{&p.Old, &p.New} {
		side.Approved, side.Newest = side.T == approved, side.T == newest
	}
	p.Views = []option{{Value: "side", Text: "Side by side"}, {Value: "inline", Text: "In one text"}}
	if p.View = "side"; r.URL.Query().Get("view") == "inline" {
		p.View = "inline"
	}
}

// lay lays the two versions out in rows and numbers the changes.
func (p *comparePage) lay() {
	p.Subject, p.Body = wording.Redline(p.Old.T.Subject, p.New.T.Subject), wording.Redline(p.Old.T.Body, p.New.T.Body)
	for _, part := range [][]wording.Span{p.Subject, p.Body} {
		for _, row := range wording.SideBySide(part) {
			v := rowView{Row: row, Subject: len(p.Rows) == 0 && len(p.Subject) > 0}
			if row.Changed {
				v.ID = fmt.Sprintf("change-%d", len(p.Changes)+1)
				p.Changes = append(p.Changes, v.ID)
			}
			p.Rows = append(p.Rows, v)
		}
	}
}
