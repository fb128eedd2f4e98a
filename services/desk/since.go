package desk

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/wording"
)

// Touched returns the texts in which a fact of the facts sheet stands, in the
// order of Texts. Another fact stands in none.
func Touched(c *casefile.Case, fact string) []event.TextKey {
	name, lang, ok := sheetFact(fact)
	if !ok {
		return nil
	}
	var out []event.TextKey
	for _, t := range Texts(c) {
		if readsFact(c, t, name, lang) {
			out = append(out, t.TextKey)
		}
	}
	return out
}

// sheetFact splits "sheet.<name>.<language>".
func sheetFact(key string) (name, lang string, ok bool) {
	rest, ok := strings.CutPrefix(key, "sheet.")
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot < 0 {
		return "", "", false
	}
	return rest[:dot], rest[dot+1:], true
}

// readsFact reports whether a text shows a fact in a language: its own, or its
// base language where the fact is not stated for its own.
func readsFact(c *casefile.Case, t *casefile.Text, name, lang string) bool {
	compiled, err := wording.Compile(t.TextKey, t.Subject, t.Body)
	if err != nil || !slices.Contains(compiled.Fields(), wording.Field("facts."+name)) {
		return false
	}
	if lang == t.Language {
		return true
	}
	base, _, _ := strings.Cut(t.Language, "-")
	_, own := c.Facts["sheet."+name+"."+t.Language]
	return lang == base && !own
}

// touchedWords says which texts a changed fact touches.
func touchedWords(keys []event.TextKey) string {
	if len(keys) == 0 {
		return "It stands in no text yet."
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = textName(k)
	}
	return "It stands in " + strings.Join(names, ", ") + "."
}

// factChange is a fact of the facts sheet that was changed after a yes.
type factChange struct {
	Label, Touches string
	Redline        []wording.Span
}

// sinceYes is exactly what changed since the newest approval.
type sinceYes struct {
	Approval event.Approval
	Who      string
	// Void says why it no longer stands, or is empty.
	Void  string
	Texts []struct{ Link, Text string }
	Facts []factChange
	List  string
}

// since compares the case with its newest approval; nil if nobody has approved.
func (s *Service) since(c *casefile.Case, versions []casefile.Text) *sinceYes {
	if len(c.Approvals) == 0 {
		return nil
	}
	last := c.Approvals[len(c.Approvals)-1]
	a := last.Approval
	y := &sinceYes{Approval: a, Who: s.userName(a.Approver), Void: c.Stale(a, s.cfg.Now()), Facts: factChanges(c, last.Seq)}
	for _, t := range Texts(c) {
		i := slices.IndexFunc(a.Texts, func(x event.ApprovedText) bool { return x.TextKey == t.TextKey })
		change := struct{ Link, Text string }{textPath(c.Number, t.TextKey), textName(t.TextKey) + " is new"}
		if i >= 0 && a.Texts[i].Digest == t.Digest {
			continue
		}
		if v := newestOf(versions, func(v casefile.Text) bool { return i >= 0 && v.TextKey == t.TextKey && v.Digest == a.Texts[i].Digest }); v != nil {
			change.Link = fmt.Sprintf("%s?from=%d&to=%d", comparePath(c.Number, t.TextKey), v.Version, t.Version)
			change.Text = fmt.Sprintf("%s, version %d to version %d", textName(t.TextKey), v.Version, t.Version)
		}
		y.Texts = append(y.Texts, change)
	}
	if latest, was := c.Latest(), c.Revision(a.Revision); latest != nil && latest.Digest != a.ScopeDigest && was != nil {
		y.List = fmt.Sprintf("List %d of %s people became list %d of %s people", was.Revision, Number(was.People), latest.Revision, Number(latest.People))
	}
	return y
}

// factChanges compares the facts sheet with what it was at a place of the journal.
func factChanges(c *casefile.Case, seq uint64) []factChange {
	before := map[string]string{}
	for _, f := range c.FactHistory {
		if f.Seq < seq {
			before[f.Key] = f.Value
		}
	}
	var out []factChange
	for _, key := range slices.Sorted(maps.Keys(c.Facts)) {
		if _, _, ok := sheetFact(key); !ok || c.Facts[key].Value == before[key] {
			continue
		}
		out = append(out, factChange{Label: FactLabel(key), Touches: touchedWords(Touched(c, key)), Redline: wording.Redline(before[key], c.Facts[key].Value)})
	}
	return out
}
