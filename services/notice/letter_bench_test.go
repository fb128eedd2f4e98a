package notice

import (
	"bytes"
	"testing"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/notice/sendgrid"
)

// BenchmarkLetter is what one person costs between the contact record and the
// bytes of an email request: the binding, the words, the request and the second
// check that reads it back. One operation is one person; a request has a thousand.
func BenchmarkLetter(b *testing.B) {
	const most = sendgrid.MaxRecipients
	w, k, mark := letterBench(b)
	people := testPeople(most)
	rows := make([]message, most)
	for i := range people {
		c := &people[i]
		rows[i] = message{person: c.Number, channel: Email, exposed: uint32(c.Exposed), bind: mark.bind(c.Number, c, c)}
	}
	body := new(sendgrid.Body)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%most != 0 {
			continue // the whole request is made for the first of its thousand
		}
		r := &run{attempt: attempt{id: 42}}
		for i := range people {
			l, err := w.letter(k, mark, &rows[i], recipient{named: &people[i], reach: &people[i]})
			if err != nil {
				b.Fatal(err)
			}
			r.letters, r.attempt.people = append(r.letters, l), append(r.attempt.people, people[i].Number)
		}
		data, err := w.compose(k, r, body)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.inspectEmail(data, r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTextMessage is the same for an SMS, which is rendered one by one.
func BenchmarkTextMessage(b *testing.B) {
	w, k, mark := letterBench(b)
	c := &testPeople(1)[0]
	row := message{person: c.Number, channel: SMS, exposed: uint32(c.Exposed), bind: mark.bind(c.Number, c, c)}
	w.c = &chunk{channel: SMS}
	b.ReportAllocs()
	for b.Loop() {
		l, err := w.letter(k, mark, &row, recipient{named: c, reach: c})
		if err == nil {
			_, err = w.textOf(&l)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func letterBench(b *testing.B) (*worker, *content, *marker) {
	b.Helper()
	c := casefile.New()
	c.Org, c.Number = testOrg, testCase
	a := &event.Approval{Kind: "first"}
	for _, t := range testTexts {
		c.Texts[t.TextKey] = &casefile.Text{WordingDrafted: t}
		a.Texts = append(a.Texts, event.ApprovedText{TextKey: t.TextKey, Digest: wording.Digest(t.TextKey, t.Subject, t.Body)})
	}
	org := &organisation.Organisation{ID: testOrg, Name: "Tidewater", Language: "en-GB",
		Contact: &organisation.ContactPoint{Label: "Privacy team", Email: "privacy@tidewater.example", Phone: "+441632960000"},
		Sender:  organisation.Sender{Email: "notices@tidewater.example", SMS: "+447700900000"}}
	k, err := contentOf(&c, &casefile.Order{DispatchOrdered: event.DispatchOrdered{Kind: "first"}}, org, a)
	if err != nil {
		b.Fatal(err)
	}
	s := &Service{cfg: Config{SendGrid: &SendGrid{}, Twilio: &Twilio{}}, secrets: secrets{bytes.Repeat([]byte{7}, 32)}}
	w := &worker{s: s, p: &plan{org: testOrg, caseID: testCase, revision: 1}, c: &chunk{channel: Email}}
	return w, k, s.secrets.marker(testOrg, testCase, "first", 1)
}
