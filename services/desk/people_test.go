package desk

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/desk/api"
)

// inventoryPlayer answers about one person, number 7, as scope would, and remembers what it was asked.
type inventoryPlayer struct {
	mu      sync.Mutex
	persons []event.PersonQuestion
	entered []event.EnterQuestion
	erased  []event.EraseQuestion
}

func (b *bench) playInventory() *inventoryPlayer {
	b.Helper()
	p := &inventoryPlayer{}
	bb, err := bus.New(b.srv.Connect(b.T, event.Scope), bus.Config{Service: event.Scope})
	b.must(err)
	bus.Answer(bb, event.AskPerson, p.person)
	bus.Answer(bb, event.AskEnter, func(_ context.Context, q event.EnterQuestion) (event.EnterAnswer, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.entered = append(p.entered, q)
		if strings.Contains(string(q.CSV), "12 rue") && !q.SkipBad {
			return event.EnterAnswer{Rows: 2, New: 2, Bad: 1, Errors: []string{"people list line 3, column phone: not a possible phone number"}}, nil
		}
		return event.EnterAnswer{TakenIn: !q.Check, Rows: 2, New: 2}, nil
	})
	bus.Answer(bb, event.AskErase, func(_ context.Context, q event.EraseQuestion) (event.EraseAnswer, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.erased = append(p.erased, q)
		return event.EraseAnswer{Erased: 1}, nil
	})
	bus.Answer(bb, event.AskAudit, func(_ context.Context, q event.AuditQuestion) (event.AuditAnswer, error) {
		if q.Case == "2020-001" {
			return event.AuditAnswer{}, nil
		}
		e := event.AuditEntry{At: b.now.Now(), Actor: "dora (dpo)", Act: "reveal", People: 1, Detail: "person 7: they called us"}
		if q.After == "" {
			return event.AuditAnswer{Entries: []event.AuditEntry{e}, Next: "1-1"}, nil
		}
		e.Act, e.Detail = "search", ""
		return event.AuditAnswer{Entries: []event.AuditEntry{e}}, nil
	})
	bus.Answer(bb, event.AskDifference, func(_ context.Context, q event.DifferenceQuestion) (event.DifferenceAnswer, error) {
		return event.DifferenceAnswer{From: q.From, To: q.To, Added: 1234, Removed: 5, Widened: 6, Narrowed: 7, WidenedBy: map[string]int64{"payment_card": 6}}, nil
	})
	bus.Answer(bb, event.AskFindings, func(_ context.Context, q event.FindingsQuestion) (event.FindingsAnswer, error) {
		return event.FindingsAnswer{Revision: q.Revision, People: 500, KeptTooLong: 4321, Erased: 3}, nil
	})
	b.run(bb)
	return p
}

func (p *inventoryPlayer) person(_ context.Context, q event.PersonQuestion) (event.PersonAnswer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.persons = append(p.persons, q)
	found := event.PersonFound{Number: 7, Masked: []string{"A… E…", "GB"}, Datasets: []string{"crm.customers"}, Joined: []event.PersonJoined{{Number: 9, Reason: "email and name"}}}
	switch {
	case q.Number == 7 && q.Reveal:
		found.Revealed = &person.Contact{Number: 7, GivenName: "Åsa", FamilyName: "Ek", Email: "asa@people.example", Address: []person.Text{"Gatan 1", "111 22 Ort"}}
	case q.Number == 8:
		at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
		return event.PersonAnswer{People: []event.PersonFound{{Number: 8, ErasedAt: &at}}}, nil
	case q.Number > 8:
		return event.PersonAnswer{}, bus.Refuse("invalid", "there is no person %d", q.Number)
	case q.Find == "Nobody Here":
		return event.PersonAnswer{}, nil
	case q.Find == "Åsa Ek" && q.After == 0:
		return event.PersonAnswer{People: []event.PersonFound{found}, Next: 7}, nil
	}
	return event.PersonAnswer{People: []event.PersonFound{found}}, nil
}

func TestAPersonIsMaskedOnEveryPageUntilTheyAreRevealedForAReason(t *testing.T) {
	b := newBench(t)
	asked := b.playInventory()
	number := b.declare()
	dora := b.surf("dora")
	dora.get("/cases")
	dora.get("/people")
	dora.press("Find", nil)
	dora.sees("Error: People")
	dora.sees("Give an email address")
	dora.press("Find", url.Values{"find": {"Nobody Here"}})
	dora.sees("Nobody found")
	dora.press("Find", url.Values{"find": {" Åsa Ek "}, "case": {number}})
	dora.sees("A… E… · GB")
	dora.sees("9 (same email and name)")
	if dora.at != "/people" || strings.Contains(dora.at, "sa") {
		t.Errorf("what was looked for stands in the address: %s", dora.at)
	}
	dora.press("Next page", nil)
	dora.sees("At most 50 people on a page")
	dora.get("/people/7?case=" + number)
	if strings.Contains(dora.text(), "Åsa") || strings.Contains(dora.text(), "asa@") {
		t.Error("the person is shown before they are revealed")
	}
	dora.press("Show the person", url.Values{"reason": {""}})
	dora.sees("Say why you need to see who this is")
	dora.press("Show the person", url.Values{"reason": {"they called us"}, "case": {"2020-999"}})
	dora.sees("There is no case \"2020-999\"")
	dora.press("Show the person", url.Values{"reason": {"they called us"}, "case": {number}})
	for _, want := range []string{"Åsa Ek", "asa@people.example", "Gatan 1", "It is logged"} {
		dora.sees(want)
	}
	last := asked.persons[len(asked.persons)-1]
	if last.Reason != "they called us" || last.Case != number || last.Asker != event.Person("dora", "dpo") || last.Org != "tidewater" {
		t.Errorf("scope was asked %+v", last)
	}
	dora.get("/people/8")
	dora.sees("erased at their request")
	dora.get("/people/audit")
	dora.sees("person 7: they called us")
	dora.sees("Next page")
	dora.get("/people/audit?after=1-1")
	dora.sees("search")
	dora.get("/people/audit?case=2020-001")
	dora.sees("Nobody looked at people's data in this case")

	dora.take(dora.client.Get(b.url + "/people/x"))
	if dora.status != http.StatusNotFound {
		t.Errorf("person x: %d", dora.status)
	}
}

func TestAPersonIsErasedByTypingTheirNumber(t *testing.T) {
	b := newBench(t)
	asked := b.playInventory()
	dora := b.surf("dora")
	dora.get("/people/7")
	dora.press("Erase for good", url.Values{"erase_reason": {"request 17"}, "confirm": {"8"}})
	dora.sees("Type the number of the person, 7")
	if len(asked.erased) > 0 {
		t.Fatal("erased although the number was wrong")
	}
	dora.press("Erase for good", url.Values{"confirm": {"7"}})
	dora.sees("Person 7 was erased")
	if q := asked.erased; len(q) != 1 || q[0].Reason != "request 17" || !slices.Equal(q[0].Numbers, []person.Number{7}) || q[0].Asker != event.Person("dora", "dpo") {
		t.Errorf("scope was asked %+v", q)
	}
	lea := b.surf("lea")
	lea.get("/people/7")
	if strings.Contains(lea.text(), "Erase") {
		t.Error("legal is offered to erase")
	}
	lea.take(lea.client.PostForm(b.url+"/people/7/erase", url.Values{"erase_reason": {"request 17"}, "confirm": {"7"}}))
	if lea.status != http.StatusForbidden || len(asked.erased) != 1 {
		t.Errorf("legal erases: %d", lea.status)
	}
}

func TestOnlyAuthorisedRolesSeePeopleAndFindings(t *testing.T) {
	b := newBench(t)
	asked := b.playInventory()
	number := b.ready()
	ana := b.surf("ana")
	ana.get("/cases/" + number + "/scope")
	if strings.Contains(ana.text(), "Privileged") || strings.Contains(ana.text(), "People Dead") {
		t.Error("an analyst is offered the privileged part")
	}
	for _, path := range []string{"/people", "/people/7", "/people/audit", "/cases/" + number + "/privileged"} {
		ana.take(ana.client.Get(b.url + path))
		if ana.status != http.StatusForbidden {
			t.Errorf("an analyst gets %s: %d", path, ana.status)
		}
	}
	for path, body := range map[string]any{
		"/api/v1/people/search":   api.PeopleSearch{Find: "asa@people.example"},
		"/api/v1/people/7/reveal": api.Reveal{Reason: "curious"},
		"/api/v1/people/7/erase":  api.Erasure{Reason: "curious", Confirm: 7},
	} {
		if s, answer := b.send("ana", "POST", path, body); s != http.StatusForbidden {
			t.Errorf("an analyst gets %s: %d %s", path, s, answer)
		}
	}
	for _, path := range []string{"/api/v1/people/audit", "/api/v1/cases/" + number + "/findings"} {
		if s, answer := b.send("ana", "GET", path, nil); s != http.StatusForbidden {
			t.Errorf("an analyst gets %s: %d %s", path, s, answer)
		}
	}
	if len(asked.persons)+len(asked.erased) > 0 {
		t.Error("scope was asked all the same")
	}
	for _, who := range []string{"lea", "dora"} {
		s := b.surf(who)
		s.get("/cases/" + number + "/privileged")
		s.sees("4,321")
	}
	var preview api.Preview
	body := map[string]any{"exposures": []map[string]any{{"dataset": "crm.customers", "from": b.now.Now().AddDate(0, 0, -7), "to": b.now.Now()}}}
	if b.call("ana", "POST", "/api/v1/cases/"+number+"/exposure/preview", body, &preview); preview.KeptTooLong != 0 {
		t.Error("an analyst is told how many were kept too long")
	}
	if b.call("dora", "POST", "/api/v1/cases/"+number+"/exposure/preview", body, &preview); preview.KeptTooLong != 17 {
		t.Errorf("the DPO is told that %d were kept too long", preview.KeptTooLong)
	}
	eve := b.surf("eve")
	for _, page := range []string{"/privileged", "/scope/difference", "/scope/list"} {
		eve.take(eve.client.Get(b.url + "/cases/" + number + page))
		if eve.status != http.StatusNotFound {
			t.Errorf("another organisation gets %s: %d", page, eve.status)
		}
	}
}

func TestTheInventoryIsSearchedThroughTheAPI(t *testing.T) {
	b := newBench(t)
	b.playInventory()
	var found api.PeopleFound
	if s := b.call("lea", "POST", "/api/v1/people/search", api.PeopleSearch{Find: "Åsa Ek"}, &found); s != 200 || len(found.People) != 1 || found.Next != 7 ||
		found.People[0].Joined[0].Reason != "email and name" || found.People[0].Revealed.GivenName != "" {
		t.Errorf("search: %d %+v", s, found)
	}
	if s, body := b.send("lea", "POST", "/api/v1/people/search", api.PeopleSearch{}); s != http.StatusBadRequest {
		t.Errorf("an empty search: %d %s", s, body)
	}
	var p api.FoundPerson
	if s := b.call("lea", "POST", "/api/v1/people/7/reveal", api.Reveal{Reason: "they called us"}, &p); s != 200 || p.Revealed.GivenName != "Åsa" || p.Revealed.Address[1] != "111 22 Ort" {
		t.Errorf("reveal: %d %+v", s, p)
	}
	if s, body := b.send("lea", "POST", "/api/v1/people/7000/reveal", api.Reveal{Reason: "they called us"}); s != http.StatusUnprocessableEntity {
		t.Errorf("a person who does not exist: %d %s", s, body)
	}
	var page api.AuditPage
	if s := b.call("lea", "GET", "/api/v1/people/audit?everything=true", nil, &page); s != 200 || len(page.Entries) != 1 || page.Next != "1-1" {
		t.Errorf("audit: %d %+v", s, page)
	}
	var erased struct{ Erased int }
	if s := b.call("dora", "POST", "/api/v1/people/7/erase", api.Erasure{Reason: "request 17", Confirm: 7}, &erased); s != 200 || erased.Erased != 1 {
		t.Errorf("erase: %d %+v", s, erased)
	}
}

func TestTwoListsAreComparedAsCounts(t *testing.T) {
	b := newBench(t)
	b.playInventory()
	number := b.declare()
	ana := b.surf("ana")
	at := "/cases/" + number + "/scope/difference"
	ana.get(at)
	ana.sees("No list has been sealed")
	state := func(days int) {
		_, err := b.desk.StateExposure(t.Context(), b.user("ana"), On{Case: number}, event.ExposureStated{Exposures: []event.Exposure{
			{Dataset: "crm.customers", From: b.now.Now().AddDate(0, 0, -days), To: b.now.Now()}}})
		b.must(err)
		b.seal(number)
	}
	state(7)
	ana.get(at)
	ana.sees("There is one sealed list")
	state(14)
	ana.get("/cases/" + number + "/scope")
	ana.sees("What changed between two lists")
	ana.get(at)
	for _, want := range []string{"From list 1 to list 2", "New1,234Owed a first notice", "Out5Owed a correction", "More was exposed6Owed a supplement", "Less was exposed7Owed a correction", "payment card number6"} {
		ana.sees(want)
	}
	ana.press("Compare", url.Values{"from": {"2"}, "to": {"1"}})
	ana.sees("From list 2 to list 1")
	ana.take(ana.client.Get(b.url + at + "?from=1&to=9"))
	ana.sees("There is no list 9")
	var d api.ListDifference
	if s := b.call("ana", "GET", "/api/v1/cases/"+number+"/lists/difference?from=1&to=2", nil, &d); s != 200 || d.Added != 1234 {
		t.Errorf("difference: %d %+v", s, d)
	}
	var findings api.Findings
	if s := b.call("dora", "GET", "/api/v1/cases/"+number+"/findings", nil, &findings); s != 200 || len(findings.Lists) != 2 || findings.Lists[1].KeptTooLong != 4321 {
		t.Errorf("findings: %d %+v", s, findings)
	}
	for _, bad := range []string{"?from=1", "?from=0&to=1", "?from=1&to=3"} {
		if s, body := b.send("ana", "GET", "/api/v1/cases/"+number+"/lists/difference"+bad, nil); s != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, s, body)
		}
	}
}

func TestAListIsEnteredByHandAfterACheck(t *testing.T) {
	b := newBench(t)
	asked := b.playInventory()
	number := b.declare()
	ana := b.surf("ana")
	ana.get("/cases/" + number + "/scope")
	ana.get("/cases/" + number + "/scope/list")
	ana.press("Check the list", nil)
	ana.sees("Name the dataset")
	ana.sees("Type or paste the list")
	list := url.Values{"dataset": {"cabinet.files"}, "csv": {"given_name,family_name,address1\nÅsa,Ek,12 rue\nBo,Ek,\n"}, "categories": {"user.name"}}
	ana.press("Check the list", list)
	ana.sees("Not taken in: 1 fault")
	ana.sees("people list line 3, column phone")
	ana.press("Take the list in", nil)
	ana.sees("Not taken in: 1 fault")
	ana.press("Take the list in", url.Values{"skip_bad": {"yes"}})
	ana.sees("Taken in: 2 new people")
	q := asked.entered[len(asked.entered)-1]
	if q.Check || !q.SkipBad || q.Medium != "paper" || q.Dataset != "cabinet.files" || q.Org != "tidewater" || !slices.Equal(q.Categories, []string{"user.name"}) || q.Asker.ID != "ana" {
		t.Errorf("scope was asked %+v", q)
	}

	// The same as a file, which a browser sends in another form.
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	b.must(w.WriteField("dataset", "cabinet.files"))
	b.must(w.WriteField("do", "check"))
	part, err := w.CreateFormFile("file", "list.csv")
	b.must(err)
	_, err = part.Write([]byte("given_name\nCid\n"))
	b.must(err)
	b.must(w.Close())
	ana.take(ana.client.Post(b.url+"/cases/"+number+"/scope/list", w.FormDataContentType(), &body))
	ana.sees("Checked")
	ana.sees("Cid") // to be taken in without choosing the file again
	ana.press("Take the list in", nil)
	ana.sees("Taken in: 2 new people")
	if q := asked.entered[len(asked.entered)-1]; !strings.HasPrefix(string(q.CSV), "given_name") {
		t.Errorf("scope was asked with %q", q.CSV)
	}

	var report api.ListReport
	if s := b.call("ana", "POST", "/api/v1/inventory/lists", api.EnteredList{Dataset: "cabinet.files", Csv: "given_name\nCid\n", Check: true}, &report); s != 200 || report.TakenIn || report.New != 2 {
		t.Errorf("enter: %d %+v", s, report)
	}
	if s, answer := b.send("ana", "POST", "/api/v1/inventory/lists", api.EnteredList{Dataset: "cabinet.files", Csv: strings.Repeat("x", maxList+1)}); s != http.StatusBadRequest {
		t.Errorf("a list of %s bytes: %d %s", strconv.Itoa(maxList+1), s, answer)
	}
}
