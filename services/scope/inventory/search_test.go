package inventory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/pkg/sqldb/sqldbtest"
)

func TestNamesakesAreFoundPageByPageAndMasked(t *testing.T) {
	const namesakes = 120
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := openStore(t, db)
		var b strings.Builder
		b.WriteString("person,given_name,family_name,email,phone,country,dataset\n")
		for i := range namesakes {
			fmt.Fprintf(&b, "N%d,Jo,Smith,jo%d@example.test,+4477009%05d,GB,a\n", i, i, i)
		}
		b.WriteString("N7x,Jo,Smith,jo7@example.test,,GB,a\nO,Joan,Smith,joan@example.test,,GB,a\n") // number 7 again, and somebody else
		mustImport(t, s, "vardag", []Source{oneDataset(), Text("people.csv", b.String(), Mapping{})})
		found, after := map[person.Number]bool{}, person.Number(0)
		for pages := 1; ; pages++ {
			a, err := s.FindPerson(t.Context(), event.PersonQuestion{Org: "vardag", Asker: event.Person("d", "dpo"), Find: "jo smith", After: after})
			if err != nil || len(a.People) > maxFound {
				t.Fatalf("%d on one page, %v", len(a.People), err)
			}
			for _, p := range a.People {
				text := strings.Join(p.Masked, " ")
				if found[p.Number] || p.Revealed != nil || strings.Contains(text, "Smith") || strings.Contains(text, "example") || !strings.Contains(text, "GB") {
					t.Errorf("person %d is shown as %q", p.Number, text)
				}
				found[p.Number] = true
			}
			if after = a.Next; after == 0 {
				if pages != 3 {
					t.Errorf("%d pages", pages)
				}
				break
			}
		}
		if len(found) != namesakes {
			t.Errorf("%d of %d namesakes were found", len(found), namesakes)
		}
	})
}

func TestTheAuditSaysOfEveryActWhoAndWhyPageByPage(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		s := openStore(t, db)
		mustImport(t, s, "vardag", sources())
		if _, err := s.Seal(ctx, "vardag", "2026-001", "st", autumn(), Policy{}); err != nil {
			t.Fatal(err)
		}
		// Each batch of contacts is an entry of its own: all in the same instant.
		for from := range int64(2) {
			q := event.ContactsQuestion{Org: "vardag", Case: "2026-001", Revision: 1, Order: "order-9", From: from, To: from + 1}
			if a, err := s.Contacts(ctx, q); err != nil || len(a.Contacts) != 1 {
				t.Fatal(err)
			}
		}
		for i := range 5 {
			q := event.PersonQuestion{Org: "vardag", Asker: event.Person("dora", "dpo"), Number: 1, Reveal: true, Reason: fmt.Sprintf("reason %d", i), Case: "2026-001"}
			if _, err := s.FindPerson(ctx, q); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.FindPerson(ctx, event.PersonQuestion{Org: "vardag", Asker: event.Person("lea", "legal"), Find: "anna@example.test"}); err != nil {
			t.Fatal(err)
		}
		pages := func(q event.AuditQuestion) (all []string) {
			q.Org, q.Limit = "vardag", 2
			for {
				a, err := s.AuditPage(ctx, q)
				if err != nil || len(a.Entries) > 2 {
					t.Fatalf("%d entries, %v", len(a.Entries), err)
				}
				for _, e := range a.Entries {
					all = append(all, fmt.Sprintf("%s %s %s %s %d %s", e.At.Format(time.Kitchen), e.Actor, e.Act, e.Case, e.People, e.Detail))
				}
				if q.After = a.Next; q.After == "" {
					return all
				}
			}
		}
		whole := strings.Join(pages(event.AuditQuestion{Everything: true}), "\n")
		for _, want := range []string{
			"12:00PM service notice contacts 2026-001 1 revision 1, order order-9, from 0 to 1", "12:00PM service notice contacts 2026-001 1 revision 1, order order-9, from 1 to 2",
			"12:00PM dora (dpo) reveal 2026-001 1 person 1: reason 0", "12:00PM dora (dpo) reveal 2026-001 1 person 1: reason 4", "12:00PM lea (legal) search  1 ",
		} {
			if strings.Count(whole, want) != 1 {
				t.Errorf("not once in the audit: %q\n%s", want, whole)
			}
		}
		if strings.Contains(whole, "anna") {
			t.Error("the audit says what was looked for")
		}
		if n := len(pages(event.AuditQuestion{})); n != 6 {
			t.Errorf("people did 6 things, the audit has %d", n)
		}
		if n := len(pages(event.AuditQuestion{Case: "2026-001"})); n != 5 {
			t.Errorf("people did 5 things in the case, the audit has %d", n)
		}
		if _, err := s.AuditPage(ctx, event.AuditQuestion{Org: "vardag", After: "nowhere"}); err == nil {
			t.Error("a page that does not exist is answered")
		}
	})
}
