package desk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
)

// withApproval replaces the approval policy of the organisations.
func withApproval(t *testing.T, policy string) func(*Config) {
	return func(c *Config) {
		orgs := fstest.MapFS{}
		for _, o := range c.Organisations.All() {
			text := strings.NewReplacer("%ID%", o.ID, "%NAME%", o.Name, "approval: {eyes: 1, roles: [legal, dpo]}", "approval: "+policy).Replace(organisationYAML)
			orgs[o.ID+".yaml"] = &fstest.MapFile{Data: []byte(text)}
		}
		r, err := organisation.Load(orgs)
		if err != nil {
			t.Fatal(err)
		}
		c.Organisations = r
	}
}

func TestTwoEyesMeanTwoDifferentPeople(t *testing.T) {
	b := newBench(t, withApproval(t, "{eyes: 2, roles: [legal, dpo]}"))
	number := b.ready()
	order := func() error {
		_, err := b.desk.OrderDispatch(t.Context(), b.user("dora"), On{Case: number}, Order{Confirm: number + " 500"})
		return err
	}
	_, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	if order() == nil {
		t.Error("one yes was enough where two are demanded")
	}
	if _, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number)); err == nil && order() == nil {
		t.Error("the same person twice counts as two")
	}
	_, err = b.desk.Approve(t.Context(), b.user("dora"), On{Case: number}, b.read("dora", number))
	b.must(err)
	if err := order(); err != nil {
		t.Errorf("with two people: %v", err)
	}
}

func TestATextIsApprovedBySomebodyWhoReadsItsLanguage(t *testing.T) {
	b := newBench(t, withApproval(t, "{eyes: 1, roles: [legal, dpo], readers_only: true}"))
	number := b.ready()
	_, err := b.desk.DraftWording(t.Context(), b.user("ana"), On{Case: number}, event.WordingDrafted{
		TextKey: event.TextKey{Audience: "people", Channel: "email", Language: "sv"}, Subject: "Om dina uppgifter", Body: "Vi beklagar, {{person.full_name}}."})
	b.must(err)
	var refused *Refused
	if _, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number)); !errors.As(err, &refused) || refused.Code != "cannot_read" {
		t.Errorf("a yes by somebody who reads English only gives %v", err)
	}
	lea := b.user("lea")
	lea.Reads = []string{"en-GB", "sv-FI"}
	if _, err := b.desk.Approve(t.Context(), lea, On{Case: number}, b.read("lea", number)); err != nil {
		t.Errorf("a yes by a reader gives %v", err)
	}
}

func TestALawMayDemandTheOfficersYes(t *testing.T) {
	b := newBench(t, withApproval(t, "{eyes: 1, roles: [legal, dpo], stricter: [{duty: uk-gdpr, roles: [dpo]}, {language: sv, eyes: 2, readers_only: true}]}"))
	number := b.ready()
	if err := mayApprove(mustPropose(b, number).Policy, b.user("lea"), b.load(number), b.now.Now()); err != nil {
		t.Errorf("before the duty opens: %v", err)
	}
	_, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	duty := oneDuty(nil, *b.load(number).Declared, b.now.Now())[0]
	duty.ID, duty.ToKind = "uk-gdpr.people_GB", "people"
	b.say(event.Deadline, number, event.DutyOpened{Duty: duty})
	var no *Forbidden
	if _, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number)); !errors.As(err, &no) || !strings.Contains(no.Why, "dpo") {
		t.Errorf("legal's yes gives %v", err)
	}
	if check, _, err := b.desk.CheckDispatch(t.Context(), b.user("dora"), number); err != nil || !strings.Contains(check.Missing(), "demand a yes by dpo; the newest is by legal") {
		t.Errorf("an earlier yes by legal still counts: %s, %v", check.Missing(), err)
	}
	signed, err := b.desk.Approve(t.Context(), b.user("dora"), On{Case: number}, b.read("dora", number))
	b.must(err)
	if got := signed.Approval.Terms; len(got.Roles) != 1 || got.Roles[0] != "dpo" || signed.Approval.Role != "dpo" {
		t.Errorf("the record states %+v as %s", got, signed.Approval.Role)
	}

	_, err = b.desk.DraftWording(t.Context(), b.user("ana"), On{Case: number}, event.WordingDrafted{
		TextKey: event.TextKey{Audience: "people", Channel: "email", Language: "sv"}, Subject: "Om dina uppgifter", Body: "Vi beklagar, {{person.full_name}}."})
	b.must(err)
	if p := mustPropose(b, number).Policy; p.Eyes != 2 || !p.ReadersOnly {
		t.Errorf("with a Swedish text the policy is %+v", p)
	}
}

func mustPropose(b *bench, number string) Proposal {
	b.Helper()
	p, _, err := b.desk.Propose(b.Context(), b.user("dora"), number)
	b.must(err)
	return p
}

func TestTwoReadersTogetherReadEveryLanguage(t *testing.T) {
	b := newBench(t, withApproval(t, "{eyes: 2, roles: [legal, dpo], readers_only: true}"))
	number := b.ready()
	_, err := b.desk.DraftWording(t.Context(), b.user("ana"), On{Case: number}, event.WordingDrafted{
		TextKey: event.TextKey{Audience: "people", Channel: "email", Language: "sv"}, Subject: "Om dina uppgifter", Body: "Vi beklagar, {{person.full_name}}."})
	b.must(err)
	yes := func(id string, reads ...string) {
		who := b.user(id)
		who.Reads = reads
		_, err := b.desk.Approve(t.Context(), who, On{Case: number}, b.read(id, number))
		b.must(err)
	}
	missing := func() string {
		check, _, err := b.desk.CheckDispatch(t.Context(), b.user("dora"), number)
		b.must(err)
		return check.Missing()
	}
	yes("lea", "en")
	if m := missing(); !strings.Contains(m, "1 of 2 approvals") || !strings.Contains(m, "Nobody who said yes reads the language of Email to people in sv") {
		t.Errorf("after one yes: %s", m)
	}
	yes("dora", "sv")
	if m := missing(); m != "" {
		t.Errorf("after both: %s", m)
	}
}

func TestAOnePersonOrganisationMayAndTheRecordSaysSo(t *testing.T) {
	b := newBench(t, withApproval(t, "{one_person: true, roles: [dpo]}"))
	number := b.ready()
	b.draft("dora", number, "I am sorry, {{person.full_name}}.")
	signed, err := b.desk.Approve(t.Context(), b.user("dora"), On{Case: number}, b.read("dora", number))
	b.must(err)
	if signed.Approval.Policy != "one person" {
		t.Errorf("the record says %q", signed.Approval.Policy)
	}
	if _, err := b.desk.OrderDispatch(t.Context(), b.user("dora"), On{Case: number}, Order{Confirm: number + " 500"}); err != nil {
		t.Error(err)
	}
}

func TestARevokedApprovalDoesNotStand(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	signed, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	_, err = b.desk.RevokeApproval(t.Context(), b.user("lea"), On{Case: number}, event.ApprovalRevoked{Approval: signed.Approval.ID, Reason: "A comma"})
	b.must(err)
	if _, err := b.desk.OrderDispatch(t.Context(), b.user("dora"), On{Case: number}, Order{Confirm: number + " 500"}); err == nil {
		t.Error("an order relies on an approval that was taken back")
	}
}

func TestAFindingStandsOnlyByTheDecisionOfANonWriterForThatVersion(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	long := strings.Repeat("Somebody read your data. ", 60)
	sms := event.TextKey{Audience: "people", Channel: "sms", Language: "en-GB"}
	write := func(user, body string) {
		_, err := b.desk.DraftWording(t.Context(), b.user(user), On{Case: number}, event.WordingDrafted{TextKey: sms, Body: body})
		b.must(err)
	}
	write("lea", long)
	override := event.CheckOverridden{TextKey: sms, Check: "sms_length", Reason: "It must all be said"}
	var refused *Refused
	if _, err := b.desk.OverrideCheck(t.Context(), b.user("lea"), On{Case: number}, override); !errors.As(err, &refused) || refused.Code != "writer_cannot_override" {
		t.Errorf("the writer's own decision gives %v", err)
	}
	_, err := b.desk.OverrideCheck(t.Context(), b.user("dora"), On{Case: number}, override)
	b.must(err)
	if _, err := b.desk.Approve(t.Context(), b.user("dora"), On{Case: number}, b.read("dora", number)); err != nil {
		t.Errorf("after the decision: %v", err)
	}
	write("lea", long+"Once more.")
	if _, err := b.desk.Approve(t.Context(), b.user("dora"), On{Case: number}, b.read("dora", number)); err == nil {
		t.Error("the decision outlives the version it was about")
	}
}

func TestAnApproversYesEndsWithTheirRight(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	lea := b.user("lea")
	lea.ApprovesUntil = b.now.Now().Add(2 * time.Hour)
	signed, err := b.desk.Approve(t.Context(), lea, On{Case: number}, b.read("lea", number))
	b.must(err)
	if got := signed.Approval.ValidUntil; got.After(lea.ApprovesUntil) {
		t.Errorf("the yes stands until %v, after the right ended at %v", got, lea.ApprovesUntil)
	}
	b.now.Advance(2 * time.Hour)
	var refused *Refused
	if _, err := b.desk.Approve(t.Context(), lea, On{Case: number}, b.read("lea", number)); !errors.As(err, &refused) || refused.Code != "approver_expired" {
		t.Errorf("a yes after the right ended gives %v", err)
	}
}

func TestAnExpiredApprovalDoesNotOrder(t *testing.T) {
	b := newBench(t)
	number := b.ready()
	_, err := b.desk.Approve(t.Context(), b.user("lea"), On{Case: number}, b.read("lea", number))
	b.must(err)
	b.now.Advance(73 * time.Hour)
	if _, err := b.desk.OrderDispatch(t.Context(), b.user("dora"), On{Case: number}, Order{Confirm: number + " 500"}); err == nil {
		t.Error("an order relies on an approval that ran out")
	}
}

func TestAConfirmationMayBePastedWithSeparators(t *testing.T) {
	check := DispatchCheck{Confirm: "2026-001 48213"}
	for typed, want := range map[string]bool{
		"2026-001 48213": true, " 2026-001  48,213 ": true, "2026-001 48 213": true, "2026-001 48.213": true,
		"2026-001": false, "48213": false, "2026-002 48213": false, "2026-001 48214": false, "": false,
	} {
		if got := confirms(typed, check); got != want {
			t.Errorf("%q confirms %v, want %v", typed, got, want)
		}
	}
}

func TestAnOpenPageHearsWhatHappensInItsCase(t *testing.T) {
	b := newBench(t)
	number := b.declare()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s/cases/%s/live?after=%d", b.url, number, b.load(number).Seq), nil)
	b.must(err)
	resp, err := b.browser("ana").Do(req)
	b.must(err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func(prefix string) string {
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return rest
			}
		}
		t.Fatalf("the stream ended before %q", prefix)
		return ""
	}
	if got := next("data: "); got != b.now.Now().Format(time.RFC3339) {
		t.Errorf("the stream begins with the time %s", got)
	}
	_, err = b.desk.StateFact(t.Context(), b.user("ana"), On{Case: number}, event.FactStated{Key: "data.encrypted", Value: "no"})
	b.must(err)
	next("event: change")
	if got := next("data: "); !strings.Contains(got, "The data were encrypted") {
		t.Errorf("the page hears %s", got)
	}
}

func TestUrgencyIsSaidInWords(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]string{
		60 * time.Hour: "On track", 23 * time.Hour: "Due soon", 3 * time.Hour: "Urgent", -2 * time.Hour: "Late by 2 h 0 min",
	} {
		due := now.Add(left)
		d := &casefile.Duty{Duty: event.Duty{Due: &due}, State: casefile.DutyOpen, OpenedAt: now.Add(-time.Hour)}
		if got := UrgencyOf(d, now); got.Words != want {
			t.Errorf("with %v left: %s, want %s", left, got.Words, want)
		}
	}
}

func TestAUsersFileThatCannotWorkSaysWhy(t *testing.T) {
	hash, err := HashPassword("a long enough password")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"users: [{id: Ana, name: Ana, organisation: x, roles: [dpo]}]":                                                    "id must be",
		"users: [{id: ana, organisation: x, roles: [dpo]}]":                                                               "name is missing",
		"users: [{id: ana, name: Ana, organisation: x, roles: [boss]}]":                                                   `role "boss"`,
		"users: [{id: ana, name: Ana, organisation: x, roles: [dpo], password: hunter2}]":                                 "argon2id",
		"users: [{id: ana, name: Ana, organisation: x, roles: [dpo], pasword: x}]":                                        "pasword",
		"users: [{id: ana, name: Ana, organisation: x, roles: [dpo]}, {id: ana, name: B, organisation: x, roles: [dpo]}]": "used twice",
		"users: [{id: ana, name: Ana, organisation: x, roles: [dpo], token_sha256: abc}]":                                 "64 hexadecimal",
	} {
		if _, err := ReadUsers(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngives %v, want it to say %q", text, err, want)
		}
	}
	if _, err := ReadUsers(strings.NewReader("users: [{id: ana, name: Ana, organisation: x, roles: [dpo], password: '" + hash + "'}]")); err != nil {
		t.Error(err)
	}
	if strings.Contains(hash, "password") {
		t.Error("the hash holds the password")
	}
}
