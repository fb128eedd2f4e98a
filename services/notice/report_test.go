package notice

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/journal"
)

// dutyTo is an open duty to tell the people of a place.
func dutyTo(id, place string, x *event.Substitute) *casefile.Duty {
	return &casefile.Duty{State: casefile.DutyOpen, Duty: event.Duty{ID: id, ToKind: "people", Jurisdiction: place, Citation: id, Substitute: x}}
}

func TestSubstituteNoticeIsProposedWithTheNumbersOfEachLaw(t *testing.T) {
	c := &casefile.Case{Duties: map[string]*casefile.Duty{
		"us-ca.people":     dutyTo("us-ca.people", "US-CA", &event.Substitute{PeopleOver: 500, CostOver: "USD 250000", If: "contact data are missing"}),
		"us-hipaa.people":  dutyTo("us-hipaa.people", "US", &event.Substitute{If: "contact data are missing"}),
		"us-ny.people":     dutyTo("us-ny.people", "US-NY", &event.Substitute{PeopleOver: 500}),
		"us-ca.ag":         {State: casefile.DutyOpen, Duty: event.Duty{ID: "us-ca.ag", ToKind: "regulator", Jurisdiction: "US-CA"}},
		"gb-gdpr.dropped":  {State: casefile.DutyDropped, Duty: event.Duty{ID: "gb-gdpr.dropped", ToKind: "people", Jurisdiction: "GB"}},
		"own.promise_all":  dutyTo("own.promise_all", "", nil),
		"us-tx.next_years": {State: casefile.DutyOpen, Duty: event.Duty{ID: "us-tx.next_years", ToKind: "people", Jurisdiction: "US-TX", Effect: event.EffectInformation}},
	}}
	places := standings{}
	places.add("US-CA", Delivered, 600)
	places.add("US-CA", Failed, 5) // each of them stands elsewhere as well
	places.add("US-NY", Delivered, 90)
	places.add("US-NY", Unreachable, 10)
	places.add("GB", Unreachable, 3)
	places.add("GB", InDoubt, 4)
	duties, proposals := byDuty(c, places)
	want := []event.DutyReport{
		{Duty: "own.promise_all", People: 707, Told: 690, InDoubt: 4, Unreachable: 13},
		{Duty: "us-ca.people", Jurisdiction: "US-CA", People: 600, Told: 600},
		{Duty: "us-hipaa.people", Jurisdiction: "US", People: 700, Told: 690, Unreachable: 10},
		{Duty: "us-ny.people", Jurisdiction: "US-NY", People: 100, Told: 90, Unreachable: 10},
	}
	if diff := cmp.Diff(want, duties); diff != "" {
		t.Errorf("duties (-want +got):\n%s", diff)
	}
	wantProposals := []event.SubstituteProposal{
		{Duty: "us-hipaa.people", Citation: "us-hipaa.people", Jurisdiction: "US", Unreachable: 10, People: 700, If: "contact data are missing"},
		{Duty: "us-ny.people", Citation: "us-ny.people", Jurisdiction: "US-NY", Unreachable: 10, People: 100, PeopleOver: 500},
		{Jurisdiction: "GB", Unreachable: 3, People: 7}, // its duty was dropped, and they still were not told
		{Duty: "us-ca.people", Citation: "us-ca.people", Jurisdiction: "US-CA", People: 600, PeopleOver: 500, CostOver: "USD 250000", If: "contact data are missing", Exceeded: true},
	}
	if diff := cmp.Diff(wantProposals, proposals); diff != "" {
		t.Errorf("proposals (-want +got):\n%s", diff)
	}
}

func TestAReportAddsUpForEveryDuty(t *testing.T) {
	people := testPeople(50)
	for i := range 5 {
		people[i].Email, people[i].Phone = "", ""
	}
	r := newRig(t, people, nil)
	s, _ := r.start("one")
	r.prepare()
	deadline, err := journal.New(r.nats.Connect(t, event.Deadline), journal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r.sayIn(deadline, "deadline", event.DutyOpened{Duty: event.Duty{ID: "gb-gdpr.people", Rule: "gb-gdpr.people", Version: "1", Status: "in-force", Hardness: "statutory",
		Title: "Tell the people", To: "the people", ToKind: "people", Citation: "Art. 34", Jurisdiction: "GB", Substitute: &event.Substitute{If: "disproportionate effort"}}})
	r.approveAndOrder("email")
	r.completed(60 * time.Second)
	a, err := s.answerReport(t.Context(), event.ReportQuestion{Org: testOrg, Case: testCase})
	if err != nil || len(a.Duties) != 1 || len(a.Substitute) != 1 {
		t.Fatalf("report %+v, %v", a, err)
	}
	d := a.Duties[0]
	if d.People != 50 || d.Told != 45 || d.Unreachable != 5 || d.People != d.Told+d.Pending+d.InDoubt+d.Unreachable+d.Excluded {
		t.Errorf("duty = %+v, want 45 of 50 told and 5 unreachable", d)
	}
	if x := a.Substitute[0]; x.Unreachable != 5 || x.If != "disproportionate effort" {
		t.Errorf("proposal = %+v", x)
	}
}
