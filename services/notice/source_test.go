package notice

import (
	"strings"
	"testing"
	"time"
)

func TestWhoseAddressWasBoughtIsToldWhereFromAndNobodyElse(t *testing.T) {
	people := testPeople(3)
	people[1].Relation, people[1].Source = "bought_list", "List Broker & <Co>, 2024"
	r := newRig(t, people, nil)
	r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	r.completed(30 * time.Second)
	got := r.shown()
	if len(got) != 3 {
		t.Fatalf("%d messages", len(got))
	}
	for _, m := range got {
		bought := m.To == people[1].Email.Reveal()
		if strings.Contains(m.Text, "We have your address from List Broker & <Co>, 2024.") != bought || strings.Contains(m.HTML, "List Broker &amp; &lt;Co&gt;, 2024") != bought {
			t.Errorf("bought %v:\n%s\n%s", bought, m.Text, m.HTML)
		}
	}
}

func TestASourceThatChangedAfterPlanningIsNoticed(t *testing.T) {
	mark := secrets{[]byte("test")}.marker(testOrg, testCase, "first", 1)
	one := testPeople(1)[0]
	other := one
	other.Source = "List Broker"
	if mark.bind(1, &one, &one) == mark.bind(1, &other, &other) {
		t.Error("both records are bound alike")
	}
}
