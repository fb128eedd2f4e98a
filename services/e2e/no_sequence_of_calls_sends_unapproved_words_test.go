package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/demo"
	"tocsin.dev/services/desk/api/client"
)

// Whatever people call in whatever order, in every role: a message left only if
// an approval over exactly its words held when it left. Each version of a text
// carries a mark of its own, so that a message says which words it is. Words
// that nobody approved leave as test sends alone: marked, and to the registered
// people of the organisation, never to anybody of a list.
func TestNoSequenceOfCallsEndsInAMessageWithoutAnApproval(t *testing.T) {
	w := begin(t, 12)
	keys, err := seal.LoadKeyring(w.Dir + "/keys/keyring.yaml")
	w.must(err)
	sent, tests := 0, 0
	for seed := range uint64(6) {
		s := w.Story("tidewater", io.Discard)
		w.must(s.UpTo(w.ctx, "draft"))
		c := &caller{w: w, s: s, r: rand.New(rand.NewPCG(seed, 7))}
		c.rewrite("analyst")
		_, err := w.Client("tidewater", "dpo").AssessRiskWithResponse(w.ctx, s.Number(), &client.AssessRiskParams{}, client.RiskAssessment{Level: "high", Reason: "Passwords in unknown hands"})
		w.must(err)
		for range 30 {
			c.act()
		}
		c.rest()
		n := c.judge(t, keys, seed)
		tried := c.judgeTests(t, seed)
		t.Logf("seed %d: %d orders taken, %d messages and %d tests left", seed, len(c.orders), n, tried)
		sent, tests = sent+n, tests+tried
	}
	if sent == 0 || tests == 0 {
		t.Errorf("%d messages and %d tests were sent; the test shows nothing", sent, tests)
	}
	if all := w.running.Sandbox.Summary("", 0).AcceptedTotal; all != sent+tests {
		t.Errorf("%d messages left, and %d of them belong to no case", all, all-sent-tests)
	}
}

// caller makes random calls and remembers them.
type caller struct {
	w      *world
	s      *demo.Story
	r      *rand.Rand
	marks  int
	orders []string
	calls  []string
}

var anyRole = []string{"analyst", "legal", "dpo", "admin"}

// role is anybody's, but mostly that of whoever may, so that something happens.
func (c *caller) role(mostly string) string {
	if c.r.IntN(4) > 0 {
		return mostly
	}
	return anyRole[c.r.IntN(len(anyRole))]
}

// act makes one call as somebody; most are refused, and that is the point.
func (c *caller) act() {
	n, ctx, number := c.r.IntN(24), c.w.ctx, c.s.Number()
	who := c.role([]string{"analyst", "analyst", "legal", "legal", "legal", "legal", "legal", "legal", "legal", "legal", "dpo"}[min(n, 10)])
	var what string
	api := c.w.Client("tidewater", who)
	switch {
	case n == 0:
		what = "rewrite"
		c.rewrite(who)
	case n == 1:
		what = "state a fact"
		_, err := api.StateFactWithResponse(ctx, number, &client.StateFactParams{}, client.FactStatement{Key: "sheet.advice.en", Value: fmt.Sprintf("Be careful %d.", c.r.IntN(3))})
		c.w.must(err)
	case n == 2:
		what = "seal anew"
		if c.r.IntN(3) == 0 {
			c.restate(api)
		}
	case n == 3:
		what = "revoke"
		if all := c.approvals(); len(all) > 0 {
			_, err := api.RevokeApprovalWithResponse(ctx, number, all[c.r.IntN(len(all))].Approval.ID, &client.RevokeApprovalParams{}, client.Reason{Reason: "on second thoughts"})
			c.w.must(err)
		}
	case n <= 9:
		what = fmt.Sprint("approve ", c.s.TryApprove(ctx, who))
	case n <= 16:
		what = "order " + c.order(api)
	case n <= 19:
		what = []string{"pause", "resume", "stop"}[c.r.IntN(3)]
		c.steer(api, what)
	default:
		what = "test " + c.test(api)
	}
	c.calls = append(c.calls, who+": "+what)
}

// rewrite drafts both texts with a fresh mark.
func (c *caller) rewrite(who string) {
	c.marks++
	starters, err := wording.Starters()
	c.w.must(err)
	for _, channel := range []string{"email", "sms"} {
		text, _ := wording.StarterFor(starters, "uk-gdpr", channel, "en-GB")
		_, err := c.w.Client("tidewater", who).DraftWordingWithResponse(c.w.ctx, c.s.Number(), "people", client.DraftWordingParamsChannel(channel), "en-GB",
			&client.DraftWordingParams{}, client.Draft{Subject: text.Subject, Body: text.Body + fmt.Sprintf(" (words %d)", c.marks)})
		c.w.must(err)
	}
}

func (c *caller) restate(api *client.ClientWithResponses) {
	inv, err := c.w.Client("tidewater", "analyst").GetInventoryWithResponse(c.w.ctx)
	c.w.must(err)
	all := []client.Exposure{}
	for _, system := range inv.JSON200.Systems {
		for _, d := range system.Datasets {
			if c.r.IntN(4) > 0 {
				all = append(all, client.Exposure{Dataset: d.ID, From: time.Now().Add(-96 * time.Hour), To: time.Now(), Ring: "in_system"})
			}
		}
	}
	_, err = api.StateExposureWithResponse(c.w.ctx, c.s.Number(), &client.StateExposureParams{}, client.ExposureStatement{Exposures: all})
	c.w.must(err)
}

func (c *caller) approvals() []client.SignedApproval {
	res, err := c.w.Client("tidewater", "legal").ListApprovalsWithResponse(c.w.ctx, c.s.Number())
	c.w.must(err)
	return res.JSON200.Approvals
}

// order places an order on the newest or on any approval, whether it stands or not.
func (c *caller) order(api *client.ClientWithResponses) string {
	o := client.OrderRequest{Confirm: "no", Kind: []client.OrderRequestKind{"first", "supplement", "correction"}[c.r.IntN(3)]}
	if check, err := api.CheckDispatchWithResponse(c.w.ctx, c.s.Number()); err == nil && check.JSON200 != nil {
		o.Confirm = check.JSON200.Confirm
	}
	if all := c.approvals(); len(all) > 0 && c.r.IntN(2) == 0 {
		o.Approval = all[c.r.IntN(len(all))].Approval.ID
	}
	if c.r.IntN(2) == 0 {
		o.Kind = ""
	}
	res, err := api.OrderDispatchWithResponse(c.w.ctx, c.s.Number(), &client.OrderDispatchParams{}, o)
	c.w.must(err)
	if res.JSON201 != nil {
		c.orders = append(c.orders, res.JSON201.Order)
	}
	return res.Status()
}

func (c *caller) steer(api *client.ClientWithResponses, what string) {
	if len(c.orders) == 0 {
		return
	}
	order, why := c.orders[c.r.IntN(len(c.orders))], client.Reason{Reason: "to look at it"}
	var err error
	switch what {
	case "pause":
		_, err = api.PauseDispatchWithResponse(c.w.ctx, c.s.Number(), order, &client.PauseDispatchParams{}, why)
	case "resume":
		_, err = api.ResumeDispatchWithResponse(c.w.ctx, c.s.Number(), order, &client.ResumeDispatchParams{}, why)
	default:
		_, err = api.StopDispatchWithResponse(c.w.ctx, c.s.Number(), order, &client.StopDispatchParams{}, why)
	}
	c.w.must(err)
}

// test asks for a test send to anybody: mostly to who may get one, also to
// strangers, to people of other organisations and to addresses of the list.
func (c *caller) test(api *client.ClientWithResponses) string {
	pick := func(from ...string) string { return from[c.r.IntN(len(from))] }
	ask := client.WordingTestRequest{To: []string{pick("me", "approver", "tidewater-legal", "tidewater-analyst", "vardag-legal", "nobody", "victim@example.test")}}
	if c.r.IntN(2) == 0 {
		ask.To = append(ask.To, pick("me", "approver", "nimbus-dpo"))
	}
	if c.r.IntN(3) == 0 {
		ask.Person, ask.Reason = int64(1+c.r.IntN(12)), "a sample"
	}
	channel := pick("email", "sms", "letter")
	res, err := api.TestWordingWithResponse(c.w.ctx, c.s.Number(), "people", client.TestWordingParamsChannel(channel), "en-GB", &client.TestWordingParams{}, ask)
	c.w.must(err)
	return channel + " " + res.Status()
}

// judgeTests holds every test send against the file of users.
func (c *caller) judgeTests(t *testing.T, seed uint64) int {
	registered := map[string]bool{}
	for _, u := range c.w.users() {
		if u.Org == "tidewater" {
			registered[u.Email.Reveal()], registered[u.Phone.Reveal()] = true, true
		}
	}
	all := c.w.messages("test-" + c.s.Number())
	for _, m := range all {
		marked := wording.Message{Subject: m.Subject, Text: m.Text, HTML: m.HTML}.IsTest()
		if !marked || !registered[m.To] || !strings.Contains(m.Text, wording.TestReference) {
			t.Errorf("seed %d: a test left to a registered person: %v, marked: %v\n%s\n%v", seed, registered[m.To], marked, m.Text, c.calls)
		}
	}
	return len(all)
}

// rest waits until the sender has done something about every order.
func (c *caller) rest() {
	bus := c.w.onTheBus(c.s)
	c.w.eventually("every order to be taken up or refused", func() bool {
		for _, o := range bus.load().Orders {
			if o.State == casefile.OrderPlaced || o.State == casefile.OrderPlanned && o.Blocked == nil && (o.Tally == nil || o.Tally.Pending > 0) {
				return false
			}
		}
		return true
	})
}

var markIn = regexp.MustCompile(`\(words (\d+)\)`)

// judge holds every message against the journal and returns how many there were.
func (c *caller) judge(t *testing.T, keys *seal.Keyring, seed uint64) int {
	entries, err := c.w.onTheBus(c.s).journal.Entries(c.w.ctx, "tidewater", c.s.Number())
	c.w.must(err)
	for _, m := range c.w.everyMessage(c.s.Number()) {
		if !c.covered(entries, keys, m) || strings.Contains(m.Text, wording.TestReference) {
			t.Errorf("seed %d: a message to person with words %v left at %s and no approval covered it\n%v", seed, markIn.FindString(m.Text), m.At, c.calls)
		}
	}
	return len(c.w.messages(c.s.Number()))
}

// slack is how long before a provider has a message the sender may have looked
// at the journal last: one batch.
const slack = 3 * time.Second

// covered reports whether at some instant of the batch an order stood whose
// approval held over the words of the message.
func (c *caller) covered(entries []casefile.Entry, keys *seal.Keyring, m shown) bool {
	mark := markIn.FindString(m.Text)
	if mark == "" {
		return false
	}
	state := casefile.New()
	for i, e := range entries {
		state.Apply(e)
		ends := m.At
		if i+1 < len(entries) {
			ends = entries[i+1].At
		}
		if e.At.After(m.At) || ends.Before(m.At.Add(-slack)) {
			continue
		}
		for _, o := range state.Orders {
			if !o.Stopped && o.State != casefile.OrderPaused && approval.ForRecord(&state, o, keys, later(e.At, m.At.Add(-slack))) == nil && says(&state, mark, m.Channel) {
				return true
			}
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// says reports whether the case's text on a channel carries the mark.
func says(c *casefile.Case, mark, channel string) bool {
	t := c.Texts[event.TextKey{Audience: "people", Channel: channel, Language: "en-GB"}]
	return t != nil && markIn.FindString(t.Body) == mark
}
