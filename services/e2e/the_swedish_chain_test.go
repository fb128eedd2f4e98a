package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tocsin.dev/pkg/wording"
	"tocsin.dev/services/demo"
	"tocsin.dev/services/desk"
	"tocsin.dev/services/desk/api/client"
	"tocsin.dev/services/scope/inventory"
)

// An organisation that writes in Swedish: the texts, the facts, the reader who
// approves and what people get are Swedish, letter by letter; every part that
// depends on what leaked reaches exactly the people it is for; and what legal
// saw in the preview is what left.
func TestTheSwedishChainIsWhole(t *testing.T) {
	w := begin(t, 0, func(w *world) { w.readsOnly("vardag-dpo", "en") })
	people := swedes()
	w.importPeople("vardag", people)
	s := w.Story("vardag", io.Discard)
	w.must(s.UpTo(w.ctx, "seal"))
	w.draftInSwedish(s)

	if status := s.TryApprove(w.ctx, "dpo"); status != http.StatusUnprocessableEntity {
		t.Errorf("somebody who does not read Swedish approves it: HTTP %d", status)
	}
	seen := w.previews(s, len(people))
	w.onTheCommandLine(s, seen[0])
	w.must(s.Approve(w.ctx))
	w.must(s.Order(w.ctx))
	w.must(s.Await(w.ctx))

	got := map[string]shown{}
	for _, m := range w.messages(s.Number()) {
		if _, twice := got[m.To]; twice {
			t.Errorf("%s got two messages", m.To)
		}
		got[m.To] = m
	}
	if len(got) != len(people) {
		t.Errorf("%d people got a message, want %d", len(got), len(people))
	}
	for _, p := range people {
		p.judge(t, got[p.to()])
	}
	for _, l := range seen {
		m := got[l.To]
		if m.Text != l.Text || m.Subject != l.Subject || m.HTML != l.HTML {
			t.Errorf("the preview of person %d is not what left:\n%q\n%q", l.Person, l.Text, m.Text)
		}
	}
}

// swede is one person, and what leaked of whom.
type swede struct {
	given, family, email, phone string
	dataset                     string
}

// The datasets by what they hold.
var leaked = map[string]string{
	"app.accounts": "user.name user.contact.email user.authorization.password",
	"shop.cards":   "user.name user.contact.email user.financial.credit_card",
	"shop.orders":  "user.name user.contact.email",
	"sms.contacts": "user.name user.contact.phone_number",
}

func swedes() (all []swede) {
	given := []string{"Åsa", "Örjan", "Märta", "Björn", "Zoë"}
	family := []string{"Öberg", "Åkesson", "Sjöström", "Lindén"}
	for i, set := range []string{"app.accounts", "shop.cards", "shop.orders", "sms.contacts"} {
		for n := range 8 {
			p := swede{given: given[n%len(given)], family: family[(n+i)%len(family)], dataset: set}
			if set == "sms.contacts" {
				p.phone = fmt.Sprintf("+467017406%02d", n)
			} else {
				p.email = fmt.Sprintf("person%d.%d@vardagspost.example.test", i, n)
			}
			all = append(all, p)
		}
	}
	return all
}

func (p swede) to() string { return p.email + p.phone }

// judge holds what the provider got against what the person should get.
func (p swede) judge(t *testing.T, m shown) {
	t.Helper()
	name := p.given + " " + p.family
	if !utf8.ValidString(m.Text) || strings.ContainsRune(m.Text, utf8.RuneError) {
		t.Errorf("the message to %s is not clean UTF-8", p.to())
	}
	if p.phone != "" {
		if !strings.Contains(m.Text, "har röjts (namn och telefonnummer)") || m.Encoding != "GSM-7" {
			t.Errorf("%s got in %s: %s", p.to(), m.Encoding, m.Text)
		}
		return
	}
	for part, want := range map[string]bool{
		"Hej " + name + "!": true,
		"någon utifrån läste kundregistret över natten": true,
		"Byt lösenord":         p.dataset == "app.accounts",
		"spärra kortet":        p.dataset == "shop.cards",
		"krediter i ditt namn": false,
		"Dear":                 false,
	} {
		for where, text := range map[string]string{"text": m.Text, "HTML": m.HTML} {
			if strings.Contains(text, part) != want {
				t.Errorf("%s (%s): %q in the %s is %v, want %v", p.to(), p.dataset, part, where, !want, want)
			}
		}
	}
}

// readsOnly marks a user as able to read one language, before the start.
func (w *world) readsOnly(user, language string) {
	w.editUser(user, func(u *desk.User) { u.Reads = []string{language} })
}

func (w *world) importPeople(org string, people []swede) {
	w.t.Helper()
	var sets, rows strings.Builder
	sets.WriteString("key,system,categories\n")
	for key, holds := range leaked {
		system, _, _ := strings.Cut(key, ".")
		fmt.Fprintf(&sets, "%s,%s,%s\n", key, system, holds)
	}
	rows.WriteString("person,given_name,family_name,email,phone,language,country,age_class,dataset\n")
	for i, p := range people {
		fmt.Fprintf(&rows, "%d,%s,%s,%s,%s,sv,SE,adult,%s\n", i+1, p.given, p.family, p.email, p.phone, p.dataset)
	}
	_, err := w.running.Scope.Inventory().Import(w.ctx, org, []inventory.Source{
		inventory.Text("datasets.csv", sets.String(), inventory.Mapping{}), inventory.Text("people.csv", rows.String(), inventory.Mapping{}),
	}, inventory.Options{})
	w.must(err)
}

// draftInSwedish states the facts sheet and takes the Swedish starting texts.
func (w *world) draftInSwedish(s *demo.Story) {
	w.t.Helper()
	analyst := w.Client("vardag", "analyst")
	for name, value := range map[string]string{
		"what_happened": "Vi såg att någon utifrån läste kundregistret över natten.", "when": "den 19 maj 2026",
		"consequences": "Någon kan låtsas vara vi när de ringer.", "measures": "Vi har stängt luckan.", "advice": "Var på din vakt när någon hör av sig.",
	} {
		res, err := analyst.StateFactWithResponse(w.ctx, s.Number(), &client.StateFactParams{}, client.FactStatement{Key: "sheet." + name + ".sv", Value: value})
		w.must(err)
		if res.JSON200 == nil {
			w.t.Fatalf("state %s: %s", name, res.Body)
		}
	}
	starters, err := wording.Starters()
	w.must(err)
	for _, channel := range []string{"email", "sms"} {
		text, ok := wording.StarterFor(starters, "eu-gdpr", channel, "sv")
		if !ok {
			w.t.Fatalf("there is no Swedish starting text for %s", channel)
		}
		res, err := analyst.DraftWordingWithResponse(w.ctx, s.Number(), "people", client.DraftWordingParamsChannel(channel), "sv",
			&client.DraftWordingParams{}, client.Draft{Subject: text.Subject, Body: text.Body})
		w.must(err)
		if res.JSON200 == nil {
			w.t.Fatalf("draft %s: %s", channel, res.Body)
		}
	}
}

// previews looks at everybody's notice as legal before the approval.
func (w *world) previews(s *demo.Story, people int) (seen []client.NoticePreview) {
	w.t.Helper()
	for n := 1; n <= people; n++ {
		for _, channel := range []client.NoticePreviewRequestChannel{"email", "sms"} {
			res, err := w.Client("vardag", "legal").PreviewNoticeWithResponse(w.ctx, s.Number(),
				client.NoticePreviewRequest{Person: int64(n), Channel: channel, Reason: "read before approval"})
			w.must(err)
			if res.JSON200 == nil {
				w.t.Fatalf("preview of person %d: %s", n, res.Body)
			}
			if l := *res.JSON200; l.Problem == "" {
				if len(l.Request) == 0 || l.SHA256 == "" {
					w.t.Errorf("the preview of person %d shows no bytes", n)
				}
				seen = append(seen, l)
			}
		}
	}
	if len(seen) != people {
		w.t.Errorf("%d notices were seen, want one for each of %d people", len(seen), people)
	}
	audit, err := w.running.Scope.Inventory().Audit(w.ctx, "vardag", 1000)
	w.must(err)
	looks := 0
	for _, e := range audit {
		if e.Act == "preview" && e.Actor == "vardag-legal (legal)" && strings.Contains(e.Detail, "read before approval") {
			looks++
		}
	}
	if looks != 2*people {
		w.t.Errorf("%d looks stand in the audit, want %d", looks, 2*people)
	}
	return seen
}

// onTheCommandLine does what an automation would before an approval.
func (w *world) onTheCommandLine(s *demo.Story, seen client.NoticePreview) {
	w.t.Helper()
	run := func(args ...string) ([]byte, int) {
		return tocsin(w.t, append(args, "--case", s.Number(), "--server", w.running.URL, "--token", w.Secrets("vardag", "legal").Token)...)
	}
	out, code := run("wording", "check", "--json")
	var check client.WordingCheck
	if err := json.Unmarshal(out, &check); err != nil || code != 0 || check.Blocked || check.List.Checked != 32 {
		w.t.Errorf("wording check ends with %d, %v: %.500s", code, err, out)
	}
	out, code = run("wording", "preview", "--person", fmt.Sprint(seen.Person), "--channel", seen.Sending, "--raw")
	if code != 0 || string(out) != string(seen.Request) {
		w.t.Errorf("wording preview --raw ends with %d and prints other bytes than the API: %.300s", code, out)
	}
	out, code = run("wording", "diff", "people/email/sv@1", "people/email/sv@latest")
	if code != 0 || strings.Contains(string(out), "{+") || !strings.Contains(string(out), "Vad har hänt?") {
		w.t.Errorf("wording diff of a version with itself ends with %d: %.300s", code, out)
	}
	if out, code = run("approval", "show"); code != 0 || !strings.Contains(string(out), "Nobody has approved") {
		w.t.Errorf("approval show ends with %d: %s", code, out)
	}
}

// shown is a message as its receiver sees it at the sandbox.
type shown struct {
	To, Subject, Text, HTML, Encoding, Channel, Notice string
	At                                                 time.Time
	Canary                                             bool // to an address of the organisation's own
}

// messages returns what people got of a case.
func (w *world) messages(number string) []shown {
	w.t.Helper()
	return slices.DeleteFunc(w.everyMessage(number), func(m shown) bool { return m.Canary })
}

// everyMessage returns what people and canaries got of a case.
func (w *world) everyMessage(number string) []shown {
	w.t.Helper()
	status, body := w.get(w.running.SandboxURL + "/sandbox/messages.json?size=1000&case=" + number)
	var page struct{ Messages []shown }
	w.must(json.Unmarshal([]byte(body), &page))
	if status != http.StatusOK {
		w.t.Fatalf("messages: %d", status)
	}
	return page.Messages
}
