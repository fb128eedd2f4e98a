package wording

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
)

// Finding is one thing a check has to say about a wording set.
type Finding struct {
	// Check is the name of the check: "syntax", "required_content", "forbidden_content",
	// "merge_value", "personal_field", "contact_point", "language", "readability", "hedging",
	// "sms_length", "link", "tracking", "subject", "sender".
	Check string `json:"check"`
	// Text is which text it is about; zero if it is about the set.
	Text event.TextKey `json:"text,omitzero"`
	// Blocks says that nobody may approve while it stands.
	Blocks bool `json:"blocks"`
	// Overridable says that a second person may override it with a reason.
	Overridable bool   `json:"overridable,omitempty"`
	Message     string `json:"message"`
	// People is how many people of the list it is about, 0 if it is about the
	// words; Numbers are the first of them.
	People  int64           `json:"people,omitempty"`
	Numbers []person.Number `json:"numbers,omitempty"`
}

// Demand is a content item that a duty requires or forbids in a notice.
type Demand struct {
	// Content is the word of the rule records: "what_happened", "contact", …
	Content string
	// Duty and Citation say who asks, Place under whose law (ISO 3166).
	Duty, Citation, Place string
}

// Set is a wording set with everything its checks look at.
type Set struct {
	Organisation *organisation.Organisation
	CaseNumber   string
	// Sheet returns the facts sheet in a language.
	Sheet func(language string) map[string]string
	Texts []event.WordingDrafted
	// Channels are those the notice is to go out on: "email", "sms", "post", "fax", "page".
	Channels []string
	// Languages counts the people of the sealed list by language.
	Languages map[string]int64
	// Exposed are all categories that occur on the sealed list.
	Exposed             category.Set
	Required, Forbidden []Demand
	// LanguageFallback records a person's decision, with the reason, to write in
	// the organisation's language to people whose language is missing.
	LanguageFallback string
	// MaxSMSParts is the most parts one SMS may take; 0 means 4.
	MaxSMSParts int
}

// contentFields says by which merge field a text carries a content item.
var contentFields = map[string][]Field{
	"what_happened":   {WhatHappened},
	"nature":          {WhatHappened},
	"cause":           {WhatHappened},
	"remediation":     {Measures},
	"date":            {When},
	"dates":           {When},
	"kinds_of_data":   {ExposedCategories},
	"data_kinds":      {ExposedCategories},
	"consequences":    {Consequences},
	"measures":        {Measures},
	"what_we_do":      {Measures},
	"advice":          {Advice},
	"what_you_can_do": {Advice},
	"dpo":             {OrganisationReach, ContactEmail, ContactPhone, ContactURL},
	"contact":         {OrganisationReach, ContactEmail, ContactPhone, ContactURL},
	"identity":        {OrganisationName},
}

// textChannel maps a sending channel to the channel word of its text. A fax
// carries the letter: it is paper too, and one text less to approve.
func textChannel(channel string) string {
	if channel == "post" || channel == "fax" {
		return "letter"
	}
	return channel
}

// Check runs every check over the set. An empty answer means that a person may approve.
func Check(s Set) []Finding {
	var out []Finding
	for _, t := range s.Texts {
		out = append(out, s.checkText(t)...)
	}
	out = append(out, s.checkLanguages()...)
	if s.Organisation.Contact == nil {
		out = append(out, Finding{Check: "contact_point", Blocks: true,
			Message: s.Organisation.Name + " has no contact point; a notice must say where to ask. Add one to the organisation."})
	}
	return append(out, s.checkSenders()...)
}

func (s Set) checkText(t event.WordingDrafted) []Finding {
	fail := func(check string, blocks, overridable bool, format string, args ...any) Finding {
		return Finding{Check: check, Text: t.TextKey, Blocks: blocks, Overridable: overridable, Message: fmt.Sprintf(format, args...)}
	}
	tpl, err := Compile(t.TextKey, t.Subject, t.Body)
	if err != nil {
		return []Finding{fail("syntax", true, false, "%v", err)}
	}
	bound, err := tpl.Bind(Common{Organisation: s.Organisation, CaseNumber: s.CaseNumber, Sheet: s.Sheet(t.Language)})
	if err != nil {
		return []Finding{fail("merge_value", true, false, "%v", err)}
	}
	var out []Finding
	if i := slices.IndexFunc(tpl.fields, Field.Personal); t.Audience == "public" && i >= 0 {
		out = append(out, fail("personal_field", true, false, "{{%s}} differs from person to person, and the public reads this text", tpl.fields[i]))
	}
	if t.Channel == "email" && strings.TrimSpace(t.Subject) == "" {
		out = append(out, fail("subject", true, false, "the email has no subject line"))
	}
	m, err := bound.Render(s.everything())
	if err != nil {
		return append(out, fail("merge_value", true, false, "%v", err))
	}
	out = append(out, s.checkDemands(tpl, fail)...)
	all := bound.everyPart()
	for _, link := range foreignLinks(all, s.Organisation.AllowedLinks) {
		out = append(out, fail("link", true, false, "the link to %s is not on the list of allowed domains", link))
	}
	if r := Read(m.Text, t.Language); r.Hard() && t.Channel != "sms" {
		out = append(out, fail("readability", false, true, "%s is %.0f; plain wording is at most %.0f. Shorten sentences and words.", r.Formula, r.Score, r.Plain))
	}
	out = append(out, checkTracking(all, fail)...)
	for _, h := range Hedges(all.Text, t.Language) {
		out = append(out, fail("hedging", false, true, "%q softens instead of telling; say the fact", h))
	}
	if t.Channel == "sms" {
		out = append(out, s.checkSMS(m.Text, fail)...)
	}
	return out
}

// everything is a made-up reader who meets the most conditions, so that the
// longest form of the text is checked. The name is 20 letters long.
func (s Set) everything() Recipient {
	return Recipient{
		Contact: &person.Contact{Number: 1, GivenName: "Maximiliana", FamilyName: "Andersson", Exposed: s.Exposed, AgeClass: person.AgeAdult},
		// A reference looks like this: 4 + 4 letters and digits.
		Reference: "K7QX-9M4T",
	}
}

func (s Set) checkDemands(tpl *Template, fail func(string, bool, bool, string, ...any) Finding) []Finding {
	var out []Finding
	told := " "
	// A text message cannot carry everything; it points to what can.
	if tpl.Key.Channel != "sms" {
		for _, d := range s.Required {
			fields, known := contentFields[d.Content]
			if tpl.Key.Audience == "public" { // what only a personal field says must stand there in words
				fields = slices.DeleteFunc(slices.Clone(fields), Field.Personal)
				known = len(fields) > 0
			}
			switch {
			case d.Content == "plain_words": // the check «readability» measures it
			case !known && !strings.Contains(told, " "+d.Content+" "):
				told += d.Content + " "
				out = append(out, fail("required_content", false, false, "%s must be told (%s); no field carries it, so see for yourself that the text says it", strings.ReplaceAll(d.Content, "_", " "), d.Citation))
			case !known:
			case !usesAny(tpl, fields):
				out = append(out, fail("required_content", true, true, "%s must be told (%s): use {{%s}}", d.Content, d.Citation, fields[0]))
			case !tpl.everybody(tpl.body, fields, d.Place):
				out = append(out, fail("required_content", true, true, "%s must be told to everybody (%s), and {{%s}} stands in a part that some do not get", d.Content, d.Citation, fields[0]))
			}
		}
	}
	for _, d := range s.Forbidden {
		if fields := contentFields[d.Content]; usesAny(tpl, fields) && !guardedBy(tpl, fields, d) {
			out = append(out, fail("forbidden_content", true, true, "%s must not be told (%s): put {{%s}} inside {{#unless person.residency.…}}", d.Content, d.Citation, fields[0]))
		}
	}
	return out
}

func usesAny(tpl *Template, fields []Field) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return slices.Contains(tpl.fields, f) })
}

// everybody reports whether each reader the demand is for gets one of the
// fields: it stands outside of conditional parts, in a part for residents of
// the demand's place, or in a part and its opposite alike.
func (t *Template) everybody(nodes []node, fields []Field, place string) bool {
	half := map[[2]int]bool{}
	for _, n := range nodes {
		switch {
		case n.cond < 0 && n.field != "" && slices.Contains(fields, n.field):
			return true
		case n.cond < 0 || !t.everybody(n.body, fields, place):
			continue
		}
		c := t.conditions[n.cond]
		theirs := c.Value == place || strings.HasPrefix(place, c.Value+"-")
		if c.Kind == "person.residency" && place != "" && theirs != n.negated {
			return true
		}
		half[[2]int{n.cond, boolInt(n.negated)}] = true
		if half[[2]int{n.cond, 0}] && half[[2]int{n.cond, 1}] {
			return true
		}
	}
	return false
}

// guardedBy reports whether every use of the fields stands inside a part that
// leaves out the residents for whom the demand holds.
func guardedBy(tpl *Template, fields []Field, d Demand) bool {
	if d.Place == "" {
		return false
	}
	var free func(nodes []node) bool
	free = func(nodes []node) bool {
		for _, n := range nodes {
			if n.field != "" && slices.Contains(fields, n.field) {
				return true
			}
			guarded := n.cond >= 0 && n.negated && tpl.conditions[n.cond] == Condition{Kind: "person.residency", Value: d.Place}
			if n.cond >= 0 && !guarded && free(n.body) {
				return true
			}
		}
		return false
	}
	return !free(tpl.body) && !free(tpl.subject)
}

// checkTracking finds what would tell the sender who has read: a picture that
// is fetched on opening, and a link that differs from person to person.
func checkTracking(all Message, fail func(string, bool, bool, string, ...any) Finding) []Finding {
	var out []Finding
	if strings.Contains(strings.ToLower(all.HTML), "<img") {
		out = append(out, fail("tracking", true, false, "a picture is fetched when the email is opened and tells who has read it; take it out"))
	}
	for _, link := range linkPattern.FindAllString(all.Text+"\n"+all.HTML, -1) {
		if strings.ContainsRune(link, slotOpen) {
			return append(out, fail("tracking", true, true, "a link holds a personal field, so that every click names the person; link to the same page for everybody"))
		}
	}
	return out
}

func (s Set) checkSMS(text string, fail func(string, bool, bool, string, ...any) Finding) []Finding {
	most := s.MaxSMSParts
	if most == 0 {
		most = 4
	}
	seg := CountSegments(text)
	if seg.Parts > most {
		odd := ""
		if len(seg.Odd) > 0 {
			odd = fmt.Sprintf(" The characters %q force the costlier alphabet.", string(seg.Odd))
		}
		return []Finding{fail("sms_length", true, true, "the text takes %d parts (%d units, %s); at most %d are allowed.%s", seg.Parts, seg.Units, seg.Alphabet, most, odd)}
	}
	return nil
}

func (s Set) checkLanguages() []Finding {
	var out []Finding
	for _, channel := range s.Channels {
		if channel == "page" {
			continue // a page is read by the public; each person has a channel of their own
		}
		for _, language := range slices.Sorted(maps.Keys(s.Languages)) {
			if s.Languages[language] == 0 || s.has(channel, language) {
				continue
			}
			if language == "unknown" && s.has(channel, s.Organisation.Language) {
				continue
			}
			f := Finding{Check: "language", Blocks: s.LanguageFallback == "", Overridable: true, People: s.Languages[language],
				Message: fmt.Sprintf("%d people read %s, and there is no %s text in it", s.Languages[language], language, channel)}
			out = append(out, f)
		}
	}
	return out
}

// has reports whether a text for people exists on a channel in a language or
// its base language.
func (s Set) has(channel, language string) bool {
	base, _, _ := strings.Cut(language, "-")
	return slices.ContainsFunc(s.Texts, func(t event.WordingDrafted) bool {
		have, _, _ := strings.Cut(t.Language, "-")
		return t.Audience == "people" && t.Channel == textChannel(channel) && (t.Language == language || have == base)
	})
}

func (s Set) checkSenders() []Finding {
	missing := map[string]string{"email": s.Organisation.Sender.Email, "sms": s.Organisation.Sender.SMS, "post": s.Organisation.Sender.Post}
	var out []Finding
	for _, channel := range s.Channels {
		if from, known := missing[channel]; known && from == "" {
			out = append(out, Finding{Check: "sender", Blocks: true, Message: fmt.Sprintf("%s has no sender identity for %s", s.Organisation.Name, channel)})
		}
	}
	return out
}

var linkPattern = regexp.MustCompile(`(?i)\b(?:[a-z][a-z0-9+.-]*://|www\.)[^\s<>"')]+`)

// foreignLinks returns the links of a message whose host is not allowed. A
// host allows its sub-domains.
func foreignLinks(m Message, allowed []string) []string {
	var out []string
	for _, link := range linkPattern.FindAllString(m.Text+"\n"+m.HTML, -1) {
		link = strings.TrimRight(link, ".,;:!?") // the mark that ends the sentence
		if !strings.Contains(link, "://") {
			link = "https://" + link
		}
		u, err := url.Parse(link)
		ok := err == nil && u.Scheme == "https" && u.User == nil && slices.ContainsFunc(allowed, func(host string) bool {
			return strings.EqualFold(u.Hostname(), host) || strings.HasSuffix(strings.ToLower(u.Hostname()), "."+strings.ToLower(host))
		})
		if !ok && !slices.Contains(out, link) {
			out = append(out, link)
		}
	}
	return out
}
