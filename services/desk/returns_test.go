package desk

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tocsin.dev/pkg/bus"
	"tocsin.dev/pkg/event"
	"tocsin.dev/services/desk/api"
)

func TestReturnsAreHandedInByWhoMaySettleAndAFaultNamesLineAndColumn(t *testing.T) {
	b := newBench(t)
	number := b.readyToApprove()
	bb, err := bus.New(b.srv.Connect(t, event.Notice), bus.Config{Service: event.Notice})
	b.must(err)
	bus.Answer(bb, event.AskReturns, func(_ context.Context, q event.ReturnsQuestion) (event.ReturnsAnswer, error) {
		if strings.Contains(q.Text, "bad") {
			return event.ReturnsAnswer{Faults: []event.ReturnsFault{{Line: 3, Column: "code", Message: "no letter of this case bears the code"}}}, nil
		}
		return event.ReturnsAnswer{Kind: "outcomes", DryRun: q.DryRun, Lines: 1, Changed: 1, NextRung: 1}, nil
	})
	b.run(bb)
	path := "/api/v1/cases/" + number + "/returns"
	if s, _ := b.send("ana", "POST", path, api.ReturnsFile{Text: "code,outcome\n"}); s != http.StatusForbidden {
		t.Errorf("an analyst: %d", s)
	}
	var a event.ReturnsAnswer
	if s := b.call("dora", "POST", path, api.ReturnsFile{Text: "code,outcome\nT1-0-ABCDE,moved\n", DryRun: true}, &a); s != http.StatusOK || !a.DryRun || a.NextRung != 1 {
		t.Errorf("dry run: %d %+v", s, a)
	}
	s, body := b.send("dora", "POST", path, api.ReturnsFile{Text: "code,outcome\nT1-0-ABCDE,moved\nbad,moved\n"})
	if s != http.StatusBadRequest || !strings.Contains(string(body), `"line 3, code"`) {
		t.Errorf("a fault: %d %s", s, body)
	}
}

func TestALetterIsApprovedForFaxWhereTheOrganisationFaxes(t *testing.T) {
	b := newBench(t, func(c *Config) {
		org, err := c.Organisations.Get("tidewater")
		if err != nil {
			t.Fatal(err)
		}
		org.Channels = append(org.Channels, "fax")
	})
	number := b.ready()
	letter := event.WordingDrafted{TextKey: event.TextKey{Audience: "people", Channel: "letter", Language: "en-GB"}, Subject: "Notice", Body: "We were breached."}
	_, err := b.desk.DraftWording(t.Context(), b.user("lea"), On{Case: number}, letter)
	b.must(err)
	p, _, err := b.desk.Propose(t.Context(), b.user("dora"), number)
	b.must(err)
	if !slices.Contains(p.Channels, "fax") || !slices.Contains(p.Channels, "post") {
		t.Errorf("an approval would cover %v, want post and fax among them", p.Channels)
	}
}

func TestPeopleWithoutAnAddressAreProposedAPublicNoticeInNumbers(t *testing.T) {
	b := newBench(t)
	var check api.DispatchCheck
	if s := b.call("dora", "GET", "/api/v1/cases/"+b.ready()+"/dispatch", nil, &check); s != http.StatusOK || !strings.HasPrefix(check.Substitute, "5 of 500 people have no usable address") {
		t.Errorf("%d: substitute = %q", s, check.Substitute)
	}
}
