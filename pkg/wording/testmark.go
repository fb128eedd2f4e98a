package wording

import (
	"html"
	"strings"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
)

// TestReference begins the reference of every test send. No reference of a
// notice has a dash in its place, so the two cannot be mistaken for each other.
const TestReference = "TEST-"

// testSubject begins the subject of every test send.
const testSubject = "[TEST] "

// AsTest marks a message as a test: in its subject, and in its first line in
// the language of the text, or in English where there is no such line. The
// characters of the line are in the alphabet of GSM 03.38, so it never makes a
// text message costlier than its own words do.
func (m Message) AsTest(language string) Message {
	line := testLine(language)
	m.Text = line + "\n\n" + m.Text
	if m.Subject != "" {
		m.Subject = testSubject + m.Subject
	}
	if m.HTML != "" {
		m.HTML = "<p><strong>" + html.EscapeString(line) + "</strong></p>\n" + m.HTML
	}
	return m
}

// IsTest reports whether a message carries the mark of AsTest.
func (m Message) IsTest() bool {
	for _, language := range []string{"en", "sv"} {
		line := testLine(language)
		if strings.HasPrefix(m.Text, line+"\n") && (m.Subject == "" || strings.HasPrefix(m.Subject, testSubject)) &&
			(m.HTML == "" || strings.HasPrefix(m.HTML, "<p><strong>"+html.EscapeString(line))) {
			return true
		}
	}
	return false
}

func testLine(language string) string {
	if base, _, _ := strings.Cut(language, "-"); base == "sv" {
		return "TEST: Det här är ingen underrättelse. Orden prövas bara, och inget i dem gäller dig."
	}
	return "TEST: This is not a notice. The words are only being tried out, and nothing in them is about you."
}

// ExamplePerson is a made-up person with the categories of exposed data whose
// codes are given, or with name and email. Codes that are not known are left out.
func ExamplePerson(language string, codes []string) *person.Contact {
	p := &person.Contact{Number: 1, GivenName: "Alex", FamilyName: "Example", Email: "alex@example.org", Phone: "+447700900000",
		Language: language, AgeClass: person.AgeAdult, Relation: "customer", Address: []person.Text{"1 Example Street", "Exampletown"}}
	for _, code := range codes {
		if set, err := category.Parse(code); err == nil {
			p.Exposed |= set
		}
	}
	if p.Exposed == 0 {
		p.Exposed, _ = category.ParseAll([]string{"name", "email"})
	}
	return p
}
