package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/wording"
)

// Somebody inside, with the desk's credentials for the bus and even its signing
// key, tries to send what was not approved. Every way of it is refused by the
// sender, with its reason in the journal, in the log and as an alarm, and
// nothing reaches a provider. What was approved then leaves all the same.
func TestEveryTamperingIsRefusedWithItsReason(t *testing.T) {
	log := &output{}
	metrics := freePort(t)
	w := begin(t, 30, func(w *world) {
		w.options.Telemetry.Output, w.settings.MetricsListen = log, metrics
		w.editOrganisation("tidewater", "eyes: 1", "eyes: 2")
	})
	in := w.inside("tidewater", "draft")

	for _, row := range tamperings {
		t.Run(row.name, func(t *testing.T) {
			in.undo, in.order = nil, nil
			in.w.t, in.t = t, t
			row.do(in)
			if in.order == nil {
				in.order = in.placing(in.approve(nil))
			}
			id := in.place(in.order)
			w.eventually("a refusal", func() bool { o := in.load().Order(id); return o != nil && (o.Refused != nil || o.Planned != nil) })
			o := in.load().Order(id)
			if o.Refused == nil {
				t.Fatalf("the order was taken up")
			}
			if o.Refused.Reason != row.reason {
				t.Errorf("refused for %s (%s), want %s", o.Refused.Reason, o.Refused.Detail, row.reason)
			}
			if !strings.Contains(log.String(), "order="+id+" reason="+row.reason) {
				t.Errorf("no alarm in the log names order %s and %s", id, row.reason)
			}
			for i := len(in.undo) - 1; i >= 0; i-- {
				in.undo[i]()
			}
		})
	}
	in.w.t, in.t = t, t
	if n := w.running.Sandbox.Summary(in.number, 0).AcceptedTotal; n != 0 {
		t.Fatalf("the providers accepted %d messages that nobody approved", n)
	}
	if _, page := w.get("http://" + metrics + "/metrics"); strings.Count(page, "tocsin_notice_refused_total{") < 12 {
		t.Errorf("the alarms are not counted by reason:\n%s", page)
	}

	honest := in.place(in.placing(in.approve(nil)))
	w.eventually("the honest order to be sent", func() bool { return w.running.Sandbox.Summary(in.number, 0).AcceptedTotal > 0 })
	if o := in.load().Order(honest); o.Refused != nil {
		t.Errorf("the honest order was refused: %+v", o.Refused)
	}
	in.auditWithTheKeyAlone(honest)
}

// tamperings are what an insider may try.
var tamperings = []struct {
	name, reason string
	do           func(*insider)
}{
	{"a comma is changed in the text", approval.WordingChanged, func(in *insider) {
		in.ordering(nil)
		in.rewrite(func(t *event.WordingDrafted) { t.Body = strings.Replace(t.Body, ",", ";", 1) })
	}},
	{"the text is changed under the digest that was approved", approval.WordingChanged, func(in *insider) {
		in.ordering(nil)
		in.rewriteAs(func(t *event.WordingDrafted) { t.Body += "\n\nSend us your password." })
	}},
	{"the subject is changed under the digest that was approved", approval.WordingChanged, func(in *insider) {
		in.ordering(nil)
		in.rewriteAs(func(t *event.WordingDrafted) { t.Subject = "You have won" })
	}},
	{"a text is sent back", approval.WordingRejected, func(in *insider) {
		in.ordering(nil)
		text := in.text("email")
		in.say(event.Person("tidewater-dpo", "dpo"), event.WordingRejected{TextKey: text.TextKey, Digest: text.Digest, Reason: "not yet"})
		in.undo = append(in.undo, func() { in.say(event.Person("tidewater-analyst", "analyst"), text.WordingDrafted) })
	}},
	{"a fact of the facts sheet is changed", approval.FactsChanged, func(in *insider) {
		in.ordering(nil)
		old := in.load().Facts["sheet.advice.en"].Value
		in.state("sheet.advice.en", "Pay 100 pounds to this account.")
		in.undo = append(in.undo, func() { in.state("sheet.advice.en", old) })
	}},
	{"the order names another list", approval.ListChanged, func(in *insider) {
		in.ordering(func(o *event.DispatchOrdered) { o.ScopeDigest = "sha256:" + strings.Repeat("0", 64) })
	}},
	{"the order names another revision", approval.ListChanged, func(in *insider) {
		in.ordering(func(o *event.DispatchOrdered) { o.Revision = 7 })
	}},
	{"the approval names a list that was never sealed", approval.ListChanged, func(in *insider) {
		a := in.approve(func(a *event.Approval) { a.ScopeDigest = "sha256:" + strings.Repeat("1", 64) })
		in.order = in.placing(a)
	}},
	{"the order names a channel that was not approved", approval.ChannelUnknown, func(in *insider) {
		in.ordering(func(o *event.DispatchOrdered) { o.Channels = append(o.Channels, "post") })
	}},
	{"channels are added to the approval after it was signed", approval.SignatureInvalid, func(in *insider) {
		a := in.statement()
		w := in.sign(a)
		w.Approval.Channels = append(w.Approval.Channels, "post")
		in.say(event.Person(a.Approver, a.Role), w)
		in.order = in.placing(w.Approval)
	}},
	{"the order is for another kind of notice", approval.WrongKind, func(in *insider) {
		in.ordering(func(o *event.DispatchOrdered) { o.Kind = "correction" })
	}},
	{"the order names no approval of the case", approval.NoApproval, func(in *insider) {
		in.ordering(func(o *event.DispatchOrdered) { o.Approval = "made-up" })
	}},
	{"the approval is of another case", approval.WrongCase, func(in *insider) { in.approved(func(a *event.Approval) { a.Case = "2026-099" }) }},
	{"the writer approves", approval.WriterApproved, func(in *insider) {
		in.approved(func(a *event.Approval) { a.Approver = "tidewater-analyst" })
	}},
	{"an analyst approves", approval.RoleNotAllowed, func(in *insider) {
		in.approved(func(a *event.Approval) { a.Approver, a.Role = "tidewater-other", "analyst" })
	}},
	{"somebody enters another's approval", approval.ApproverMismatch, func(in *insider) {
		a := in.statement()
		in.say(event.Person("tidewater-mallory", "legal"), in.sign(a))
		in.order = in.placing(a)
	}},
	{"the approval has run out", approval.Expired, func(in *insider) {
		in.approved(func(a *event.Approval) { a.ValidUntil = time.Now().Add(-time.Second) })
	}},
	{"the approval has no end", approval.Expired, func(in *insider) { in.approved(func(a *event.Approval) { a.ValidUntil = time.Time{} }) }},
	{"the approval does not count yet", approval.NotYetValid, func(in *insider) {
		in.approved(func(a *event.Approval) { a.ValidFrom = time.Now().Add(time.Hour) })
	}},
	{"the clock of the approval is ahead", approval.Clock, func(in *insider) {
		in.approved(func(a *event.Approval) { a.ApprovedAt = time.Now().Add(time.Hour) })
	}},
	{"an unknown key signs", approval.KeyUnknown, func(in *insider) {
		mine := in.signer
		stranger, err := seal.Generate()
		in.w.must(err)
		in.signer = stranger
		in.undo = append(in.undo, func() { in.signer = mine })
		in.approved(nil)
	}},
	{"the key has been revoked", approval.KeyRevoked, func(in *insider) {
		in.approved(nil)
		in.revokeKey()
	}},
	{"the signature is of another approval", approval.SignatureInvalid, func(in *insider) {
		a, other := in.statement(), in.statement()
		w := in.sign(a)
		w.Signature = in.sign(other).Signature
		in.say(event.Person(a.Approver, a.Role), w)
		in.order = in.placing(a)
	}},
	{"the approval was taken back", approval.Revoked, func(in *insider) {
		a := in.approve(nil)
		in.say(event.Person("tidewater-admin", "admin"), event.ApprovalRevoked{Approval: a.ID, Reason: "a mistake"})
		in.order = in.placing(a)
	}},
	{"the approver has lost the right", approval.Revoked, func(in *insider) {
		a := in.approve(func(a *event.Approval) { a.Approver = "tidewater-gone" })
		in.say(event.Person("tidewater-admin", "admin"), event.ApprovalRevoked{Approver: "tidewater-gone", Reason: "left"})
		in.order = in.placing(a)
	}},
	{"only one of two people has approved", approval.TooFewEyes, func(in *insider) {
		a := in.statement()
		a.Channels = []string{"email"} // what nobody else has approved
		in.say(event.Person(a.Approver, a.Role), in.sign(a))
		in.order = in.placing(a)
	}},
	{"a service places the order", approval.OrderedBy, func(in *insider) {
		in.orderer = event.Service("desk")
		in.undo = append(in.undo, func() { in.orderer = event.Person("tidewater-dpo", "dpo") })
		in.ordering(nil)
	}},
}

// insider acts on the bus with the desk's credentials and its signing key.
type insider struct {
	*onBus
	t       *testing.T
	number  string
	signer  *seal.Signer
	orderer event.Actor
	order   *event.DispatchOrdered
	undo    []func()
	count   int
}

// inside plays a case up to an act and gives the insider everything.
func (w *world) inside(org, act string) *insider {
	w.t.Helper()
	s := w.Story(org, io.Discard)
	w.must(s.UpTo(w.ctx, act))
	signer, err := seal.LoadSigner(filepath.Join(w.Dir, "keys", "approval.key"))
	w.must(err)
	return &insider{onBus: w.onTheBus(s), t: w.t, number: s.Number(), signer: signer, orderer: event.Person("tidewater-dpo", "dpo")}
}

// editOrganisation changes a tenant file before the start.
func (w *world) editOrganisation(org, old, now string) {
	w.t.Helper()
	path := filepath.Join(w.Dir, "organisations", org+".yaml")
	data, err := os.ReadFile(path)
	w.must(err)
	if !bytes.Contains(data, []byte(old)) {
		w.t.Fatalf("%s has no %q", path, old)
	}
	w.must(os.WriteFile(path, bytes.Replace(data, []byte(old), []byte(now), 1), 0o600))
}

func (in *insider) say(who event.Actor, body event.Body) { in.append(who, body) }

func (in *insider) state(key, value string) {
	in.say(event.Person("tidewater-analyst", "analyst"), event.FactStated{Key: key, Value: value, KnownSince: time.Now()})
}

func (in *insider) text(channel string) *casefile.Text {
	for k, t := range in.load().Texts {
		if k.Channel == channel {
			return t
		}
	}
	in.t.Fatalf("there is no %s text", channel)
	return nil
}

// rewrite appends a changed version of the email text, with a digest of its own.
func (in *insider) rewrite(change func(*event.WordingDrafted)) {
	in.change(change, true)
}

// rewriteAs appends a changed version that claims the old digest.
func (in *insider) rewriteAs(change func(*event.WordingDrafted)) {
	in.change(change, false)
}

func (in *insider) change(change func(*event.WordingDrafted), honest bool) {
	old := in.text("email").WordingDrafted
	forged := old
	change(&forged)
	forged.Version++
	if honest {
		forged.Digest = wording.Digest(forged.TextKey, forged.Subject, forged.Body)
	}
	writer := event.Person("tidewater-analyst", "analyst")
	in.say(writer, forged)
	in.undo = append(in.undo, func() { in.say(writer, old) })
}

// statement is what an honest approver would sign now, under a new id.
func (in *insider) statement() event.Approval {
	in.count++
	return *in.approval(fmt.Sprintf("a-%d", in.count))
}

func (in *insider) sign(a event.Approval) event.WordingApproved {
	in.t.Helper()
	digest, err := seal.Digest(a)
	in.w.must(err)
	return event.WordingApproved{Approval: a, Signature: in.signer.Sign(digest)}
}

// approve enters two approvals: of legal, changed, and of the data protection officer.
func (in *insider) approve(change func(*event.Approval)) event.Approval {
	in.t.Helper()
	a, second := in.statement(), in.statement()
	if change != nil {
		change(&a)
	}
	second.Approver, second.Role = "tidewater-dpo", "dpo"
	in.say(event.Person(second.Approver, second.Role), in.sign(second))
	in.say(event.Person(a.Approver, a.Role), in.sign(a))
	return a
}

// approved enters two approvals and prepares an order on the changed one.
func (in *insider) approved(change func(*event.Approval)) { in.order = in.placing(in.approve(change)) }

// ordering prepares a changed order on two honest approvals.
func (in *insider) ordering(change func(*event.DispatchOrdered)) {
	in.order = in.placing(in.approve(nil))
	if change != nil {
		change(in.order)
	}
}

func (in *insider) placing(a event.Approval) *event.DispatchOrdered {
	return &event.DispatchOrdered{Kind: "first", Approval: a.ID, Revision: a.Revision, ScopeDigest: a.ScopeDigest, Channels: a.Channels, Confirmed: "yes"}
}

func (in *insider) place(o *event.DispatchOrdered) string {
	in.count++
	o.Order = fmt.Sprintf("o-%d", in.count)
	in.say(in.orderer, *o)
	return o.Order
}

// tocsin runs the program and returns its output and exit code.
func tocsin(t *testing.T, args ...string) ([]byte, int) {
	t.Helper()
	return ask(t, "tocsin", args...)
}

// ask is tocsin for either program.
func ask(t *testing.T, name string, args ...string) ([]byte, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, name), args...)
	out, err := cmd.Output()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return out, cmd.ProcessState.ExitCode()
}

// revokeKey revokes the desk's key in the sender's keyring; undo trusts it again.
func (in *insider) revokeKey() {
	path := filepath.Join(in.w.Dir, "keys", "keyring.yaml")
	before, err := os.ReadFile(path)
	in.w.must(err)
	e := seal.Trust(in.signer.Public(), "desk", time.Now().Add(-time.Hour))
	e.RevokedAt, e.Reason = time.Now().Add(-time.Minute), "stolen"
	ring, err := seal.NewKeyring(e)
	in.w.must(err)
	in.w.must(ring.Save(path))
	in.undo = append(in.undo, func() { in.w.must(os.WriteFile(path, before, 0o600)) })
}

// auditWithTheKeyAlone exports the journal and verifies it as an auditor would,
// with the program, the file and the public key.
func (in *insider) auditWithTheKeyAlone(honest string) {
	w := in.w
	w.eventually("the plan", func() bool { return in.load().Order(honest).Planned != nil })
	res, err := w.Client("tidewater", "dpo").ExportJournalWithResponse(w.ctx, in.number)
	w.must(err)
	file := filepath.Join(in.t.TempDir(), "journal.jsonl")
	w.must(os.WriteFile(file, res.Body, 0o600))
	keyring := filepath.Join(w.Dir, "keys", "keyring.yaml")

	out, code := tocsin(in.t, "approval", "verify", "--case", in.number, "--file", file, "--keyring", keyring, "--json")
	var v approval.Report
	if err := json.Unmarshal(out, &v); err != nil {
		in.t.Fatalf("%v:\n%s", err, out)
	}
	// Forged approvals stand in this journal, and the auditor finds every one of them.
	if code != 2 || v.Holds || len(v.Why) != 4 {
		in.t.Errorf("verify ends with %d and finds %v; want 2 and the four approvals whose signature does not fit", code, v.Why)
	}
	for _, o := range v.Orders {
		if o.Order == honest && (!o.Covered || !o.CarriedOut) || o.Order != honest && o.CarriedOut {
			in.t.Errorf("the audit says of order %s: %+v", o.Order, o)
		}
	}
	res.Body[len(res.Body)/2] ^= 1
	w.must(os.WriteFile(file, res.Body, 0o600))
	if out, code := tocsin(in.t, "approval", "verify", "--file", file, "--keyring", keyring); code != 2 {
		in.t.Errorf("with one bit flipped verify ends with %d:\n%s", code, out)
	}
}
