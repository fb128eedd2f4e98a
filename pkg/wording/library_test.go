package wording

import (
	"strings"
	"testing"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
)

func TestEveryStartingTextReadsCleanForEveryKindOfPerson(t *testing.T) {
	starters, err := Starters()
	if err != nil {
		t.Fatal(err)
	}
	sheet := map[string]string{"what_happened": "A.", "when": "on 1 May", "consequences": "B.", "measures": "C.", "advice": "D."}
	org := &organisation.Organisation{Name: "Org", Contact: &organisation.ContactPoint{Label: "L", Email: "e@example.test", Phone: "+441632960100", URL: "https://org.example.test"}}
	for _, s := range starters {
		tpl, err := Compile(s.Key(), s.Subject, s.Body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := tpl.Bind(Common{Organisation: org, CaseNumber: "2026-001", Sheet: sheet})
		if err != nil {
			t.Fatalf("%s: %v", s.ID, err)
		}
		for _, code := range []string{"email", "password", "payment_card", "security_answer"} {
			m, err := b.Render(Recipient{Contact: &person.Contact{Number: 1, GivenName: "Åsa", FamilyName: "Ö", Exposed: exposed(t, code)}, Reference: "REF-1"})
			if err != nil {
				t.Fatalf("%s: %v", s.ID, err)
			}
			if strings.Contains(m.Text, "{{") || strings.Contains(m.Text, "\n\n\n") || strings.Contains(m.Text, "\uE000") {
				t.Errorf("%s for %s:\n%s", s.ID, code, m.Text)
			}
		}
	}
}
