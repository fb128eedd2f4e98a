package scope

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/samples"
	"tocsin.dev/services/scope/inventory"
)

const tenant = "tidewater"

// room is a running scope with everything under it.
type room struct {
	t       *testing.T
	srv     *bustest.Server
	dir     string
	service *Service
	desk    *bus.Bus
	notice  *bus.Bus
	journal *journal.Journal
	stop    func()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openRoom(t *testing.T, srv *bustest.Server, dir string) *room {
	t.Helper()
	r := &room{t: t, srv: srv, dir: dir}
	ctx, cancel := context.WithCancel(context.Background())
	db, err := sqldb.Open(ctx, "sqlite:"+filepath.Join(dir, "scope.db"))
	must(t, err)
	nc := srv.Connect(t, event.Scope)
	b, err := bus.New(nc, bus.Config{Service: event.Scope, Grace: 2 * time.Second})
	must(t, err)
	j, err := journal.New(nc, journal.Config{})
	must(t, err)
	r.service, err = New(Config{NATS: nc, Bus: b, Journal: j, DB: db, Organisations: organisations(t), Now: time.Now, KeyFile: filepath.Join(dir, "root.keys")})
	must(t, err)
	ended := make(chan error, 2)
	go func() { ended <- r.service.Run(ctx) }()
	go func() { ended <- b.Run(ctx) }()
	<-b.Ready()
	deskConn := srv.Connect(t, event.Desk)
	r.desk, err = bus.New(deskConn, bus.Config{Service: event.Desk})
	must(t, err)
	r.notice, err = bus.New(srv.Connect(t, event.Notice), bus.Config{Service: event.Notice})
	must(t, err)
	r.journal, err = journal.New(deskConn, journal.Config{})
	must(t, err)
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		must(t, db.Close())
	}
	t.Cleanup(r.stop)
	return r
}

func organisations(t *testing.T) *organisation.Registry {
	t.Helper()
	registry, err := samples.Organisations()
	must(t, err)
	return registry
}

func (r *room) importPeople() {
	r.t.Helper()
	_, err := r.service.Inventory().Import(context.Background(), tenant, []inventory.Source{
		inventory.Text("datasets.csv", "key,system,categories\ncrm.customers,crm,user.name user.contact.email\n", inventory.Mapping{}),
		inventory.Text("people.csv", "person,given_name,email,country,dataset\n1,Anna,anna@example.test,GB,crm.customers\n2,Bo,bo@example.test,SE,crm.customers\n", inventory.Mapping{}),
	}, inventory.Options{})
	must(r.t, err)
}

// declare opens a case and states an exposure; it returns the statement's id.
func (r *room) declare(number, dataset string) string {
	r.t.Helper()
	who := event.Person("anna", "analyst")
	declared, err := event.New(event.NewID(), time.Now(), tenant, number, who, &event.CaseDeclared{Title: "t", AwareAt: time.Now(), AwareZone: "Europe/London", Severity: "high", Role: "controller"})
	must(r.t, err)
	stated, err := event.New(event.NewID(), time.Now(), tenant, number, who, &event.ExposureStated{Exposures: []event.Exposure{
		{Dataset: dataset, From: time.Now().AddDate(0, -1, 0), To: time.Now()}}})
	must(r.t, err)
	_, err = r.journal.Append(r.t.Context(), tenant, number, 0, declared, stated)
	must(r.t, err)
	return stated.ID
}

// answered waits until the statement of the case is sealed or refused.
func (r *room) answered(number string) *casefile.Case {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	done := errors.New("answered")
	err := r.journal.Follow(ctx, tenant, number, 0, func(e casefile.Entry) error {
		if e.Type == event.TypeScopeSealed || e.Type == event.TypeScopeRefused {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		r.t.Fatalf("the statement is not answered: %v", err)
	}
	c, err := r.journal.Load(r.t.Context(), tenant, number)
	must(r.t, err)
	return c
}

func TestAStatementBecomesASealedListWhoseContactsOnlyTheSenderGets(t *testing.T) {
	r := openRoom(t, bustest.Start(t), t.TempDir())
	r.importPeople()
	statement := r.declare("2026-001", "crm.customers")
	c := r.answered("2026-001")
	if len(c.Sealed) != 1 || c.Sealed[0].People != 2 || c.Sealed[0].Statement != statement || c.Sealed[0].Counts.Jurisdictions["GB"] != 1 {
		t.Fatalf("sealed: %+v", c.Sealed)
	}
	q := event.ContactsQuestion{Org: tenant, Case: "2026-001", Revision: 1, To: 1000}
	a, err := bus.Ask[event.ContactsQuestion, event.ContactsAnswer](t.Context(), r.notice, event.AskContacts, q)
	if err != nil || len(a.Contacts) != 2 || a.Contacts[0].Email.Reveal() == "" {
		t.Fatalf("contacts: %d, %v", len(a.Contacts), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := bus.Ask[event.ContactsQuestion, event.ContactsAnswer](ctx, r.desk, event.AskContacts, q); err == nil {
		t.Error("the desk was given contacts")
	}
	q.Case = "2026-002"
	_, err = bus.Ask[event.ContactsQuestion, event.ContactsAnswer](t.Context(), r.notice, event.AskContacts, q)
	var refused *bus.AskError
	if !errors.As(err, &refused) || refused.Code != "not_found" {
		t.Errorf("contacts of a case without a list: %v", err)
	}
}

func TestAStatementThatCannotBeAnsweredIsRefusedWithTheReason(t *testing.T) {
	r := openRoom(t, bustest.Start(t), t.TempDir())
	r.importPeople()
	statement := r.declare("2026-001", "no.such.dataset")
	c := r.answered("2026-001")
	if !strings.Contains(c.Refused[statement], "no.such.dataset") {
		t.Errorf("refused: %v", c.Refused)
	}
}

func TestAStatementMadeWhileScopeWasDownIsSealedAfterTheStart(t *testing.T) {
	srv, dir := bustest.Start(t), t.TempDir()
	r := openRoom(t, srv, dir)
	r.importPeople()
	r.stop()
	r.declare("2026-001", "crm.customers")
	again := openRoom(t, srv, dir)
	if c := again.answered("2026-001"); len(c.Sealed) != 1 || c.Sealed[0].People != 2 {
		t.Errorf("sealed: %+v", c.Sealed)
	}
}

func TestAPersonIsMaskedUntilRevealedWithAReason(t *testing.T) {
	r := openRoom(t, bustest.Start(t), t.TempDir())
	r.importPeople()
	ask := func(q event.PersonQuestion) (event.PersonAnswer, error) {
		q.Org = tenant
		return bus.Ask[event.PersonQuestion, event.PersonAnswer](t.Context(), r.desk, event.AskPerson, q)
	}
	if _, err := ask(event.PersonQuestion{Asker: event.Person("anna", "analyst"), Find: "anna@example.test"}); err == nil {
		t.Error("an analyst may search people")
	}
	dpo := event.Person("dora", "dpo")
	found, err := ask(event.PersonQuestion{Asker: dpo, Find: "Anna@Example.test"})
	if err != nil || len(found.People) != 1 || found.People[0].Revealed != nil || strings.Contains(strings.Join(found.People[0].Masked, " "), "Anna") {
		t.Fatalf("found %+v, %v", found, err)
	}
	n := found.People[0].Number
	if _, err := ask(event.PersonQuestion{Asker: dpo, Number: n, Reveal: true}); err == nil {
		t.Error("revealed without a reason")
	}
	shown, err := ask(event.PersonQuestion{Asker: dpo, Number: n, Reveal: true, Reason: "they called us"})
	if err != nil || shown.People[0].Revealed == nil || shown.People[0].Revealed.GivenName.Reveal() != "Anna" {
		t.Fatalf("shown %+v, %v", shown, err)
	}
	entries, err := r.service.Inventory().Audit(t.Context(), tenant, 10)
	if err != nil || len(entries) < 2 || entries[0].Act != "reveal" || !strings.Contains(entries[0].Detail, "they called us") {
		t.Errorf("audit %+v, %v", entries, err)
	}
}

func TestAListTypedInByHandCanBeCheckedTakenInAndScoped(t *testing.T) {
	r := openRoom(t, bustest.Start(t), t.TempDir())
	q := event.EnterQuestion{Org: tenant, Asker: event.Person("anna", "analyst"), Dataset: "paper.stolen-folder", Categories: []string{"user.name", "user.health_and_medical"},
		Medium: "paper", CSV: []byte("given_name,family_name,address1,postcode,city,country\nAnna,Ek,Gatan 1,111 22,Ort,SE\nBo,Ek,,,,\n"), Check: true}
	ask := func() event.EnterAnswer {
		t.Helper()
		a, err := bus.Ask[event.EnterQuestion, event.EnterAnswer](t.Context(), r.desk, event.AskEnter, q)
		must(t, err)
		return a
	}
	if a := ask(); a.TakenIn || a.New != 2 {
		t.Errorf("check: %+v", a)
	}
	q.Check = false
	if a := ask(); !a.TakenIn || a.New != 2 {
		t.Errorf("entered: %+v", a)
	}
	r.declare("2026-001", "paper.stolen-folder")
	c := r.answered("2026-001")
	if len(c.Sealed) != 1 || c.Sealed[0].People != 2 || c.Sealed[0].Counts.Channels["post"] != 1 || c.Sealed[0].Counts.Channels["none"] != 1 {
		t.Errorf("sealed: %+v, refused %v", c.Sealed, c.Refused)
	}
}
