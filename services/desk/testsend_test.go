package desk

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/desk/api"
)

// withTesters gives some users an address, and lets the sender say in the
// journal what it was asked for.
func withTesters(t *testing.T) (b *bench, asked *[]event.TestQuestion) {
	b = newBench(t, func(c *Config) {
		all := c.Users.All()
		for i := range all {
			if all[i].ID == "lea" || all[i].ID == "dora" {
				all[i].Email = person.Email(all[i].ID + "@office.example")
			}
		}
		var err error
		if c.Users, err = NewUsers(all); err != nil {
			t.Fatal(err)
		}
	})
	bb, err := bus.New(b.srv.Connect(t, event.Notice), bus.Config{Service: event.Notice})
	b.must(err)
	asked = &[]event.TestQuestion{}
	bus.Answer(bb, event.AskTestSend, func(_ context.Context, q event.TestQuestion) (event.TestAnswer, error) {
		*asked = append(*asked, q)
		a := event.TestAnswer{Test: q.ID, TextKey: q.TextKey, Digest: q.Digest, Reference: "TEST-ABCDE"}
		for _, id := range q.To {
			a.Sent = append(a.Sent, event.TestedFor{User: id, Outcome: "accepted"})
		}
		b.say(event.Notice, q.Case, event.WordingTested{TextKey: q.TextKey, Digest: q.Digest, Test: q.ID, By: q.Asker.ID, To: q.To, Person: int64(q.Person)})
		return a, nil
	})
	b.run(bb)
	return b, asked
}

func TestTheApprovalPageShowsWhetherExactlyThisVersionWasTested(t *testing.T) {
	b, asked := withTesters(t)
	number := b.readyToApprove()
	lea := b.surf("lea")
	lea.get("/cases/" + number + "/approve")
	lea.sees("No test of version 1 was sent.")
	lea.get("/cases/" + number + "/wording/people/email/en-GB")
	lea.press("Send the test", url.Values{"testers": nil})
	lea.sees("Choose who shall get the test")
	lea.press("Send the test", url.Values{"person": {"7"}, "testers": {"lea"}})
	lea.sees("Say why the person is shown")
	lea.get("/cases/" + number + "/wording/people/email/en-GB")
	lea.press("Send the test", nil)
	lea.sees("Test TEST-ABCDE: sent to Dora, sent to Lea")
	if len(*asked) != 1 || !slices.Equal((*asked)[0].To, []string{"dora", "lea"}) {
		t.Errorf("the sender was asked %+v", *asked)
	}
	lea.get("/cases/" + number + "/approve")
	lea.sees("Version 1 was sent as a test on")
	lea.sees("by Lea to Dora, Lea")
	b.send("ana", "PUT", "/api/v1/cases/"+number+"/wording/people/email/en-GB", map[string]any{"subject": "About your data", "body": "{{facts.what_happened}}!"})
	lea.get("/cases/" + number + "/approve")
	lea.sees("No test of version 2 was sent.")
}

func TestATestGoesToThoseWhoseYesWouldCount(t *testing.T) {
	b, asked := withTesters(t)
	number := b.readyToApprove()
	path := "/api/v1/cases/" + number + "/wording/people/email/en-GB/test"
	for name, row := range map[string]struct {
		who  string
		ask  api.WordingTestRequest
		want int
	}{
		"an analyst to the approvers":            {"ana", api.WordingTestRequest{To: []string{"approver"}}, http.StatusOK},
		"an analyst with a person's data":        {"ana", api.WordingTestRequest{To: []string{"approver"}, Person: 7, Reason: "a sample"}, http.StatusForbidden},
		"a person's data without a reason":       {"lea", api.WordingTestRequest{To: []string{"me"}, Person: 7}, http.StatusBadRequest},
		"somebody of another organisation":       {"eve", api.WordingTestRequest{To: []string{"me"}}, http.StatusNotFound},
		"an administrator, who works on no text": {"adam", api.WordingTestRequest{To: []string{"me"}}, http.StatusForbidden},
	} {
		if s, body := b.send(row.who, "POST", path, row.ask); s != row.want {
			t.Errorf("%s: %d %s, want %d", name, s, body, row.want)
		}
	}
	if len(*asked) != 1 || !slices.Equal((*asked)[0].To, []string{"dora", "lea"}) {
		t.Errorf("the sender was asked %+v; want dora and lea, who may approve and did not write", *asked)
	}
	if s, body := b.send("ana", "POST", strings.Replace(path, "email", "sms", 1), api.WordingTestRequest{To: []string{"approver"}}); s != http.StatusNotFound {
		t.Errorf("a text that is not written: %d %s", s, body)
	}
}

func TestAUserWithAnAddressThatIsNoneDoesNotLoad(t *testing.T) {
	for _, line := range []string{"email: lea at office", `phone: "0770 900"`} {
		text := "users:\n  - {id: lea, name: Lea, organisation: tidewater, roles: [legal], " + line + "}\n"
		if _, err := ReadUsers(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), strings.SplitN(line, ":", 2)[0]) || strings.Contains(err.Error(), "office") {
			t.Errorf("%s: %v", line, err)
		}
	}
}
