package desk

import (
	"net/http"
	"strconv"
	"strings"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/wording"
)

// approvalView is an approval as a page shows it.
type approvalView struct {
	A           event.Approval
	Who, Digest string
	// Void says why it no longer stands.
	Void string
	// MayRevoke says that the person may take it back.
	MayRevoke bool
}

func (s *Service) approvalViews(c *casefile.Case, u User) []approvalView {
	var out []approvalView
	for i := len(c.Approvals) - 1; i >= 0; i-- {
		a := c.Approvals[i].Approval
		digest, err := seal.Digest(a)
		if err != nil {
			digest = "no digest: " + err.Error()
		}
		out = append(out, approvalView{a, s.userName(a.Approver), digest, c.Stale(a, s.cfg.Now()), c.Approvals[i].Revoked == "" && u.Has(Legal, DPO, Admin)})
	}
	return out
}

func (s *Service) pageApprove(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderApprove(w, r, u, nil)
}

func (s *Service) renderApprove(w http.ResponseWriter, r *http.Request, u User, cause error) error {
	p, c, err := s.Propose(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	org, err := s.cfg.Organisations.Get(u.Org)
	if err != nil {
		return err
	}
	page := struct {
		casePage
		P             Proposal
		Texts         []textView
		Duties        []string
		Kinds         []option
		Policy, Hours string
		Approvals     []approvalView
		MayOverride   bool
		Since         *sinceYes
	}{casePage: s.caseFrame(r, u, c, "Read and approve"), P: p, Texts: s.textViews(c), Policy: policyName(p.Policy),
		Kinds: options(noticeKinds), Hours: strconv.Itoa(org.Approval.ValidHours), Approvals: s.approvalViews(c, u), MayOverride: mayOverride(org, c, u)}
	for _, id := range p.Duties {
		page.Duties = append(page.Duties, c.Duties[id].Title+" ("+c.Duties[id].Citation+")")
	}
	versions, err := s.Versions(r.Context(), u, c.Number)
	if err != nil {
		return err
	}
	page.Since = s.since(c, versions)
	for i := range page.Texts {
		t := &page.Texts[i]
		t.rendered = render(org, c, t.T.TextKey, t.T.Subject, t.T.Body)
		sinceApproval(t, c, versions)
		t.Tested = s.testedView(org, c, t.T)
	}
	return s.renderForm(w, "approve", &page.Frame, &page, cause)
}

// sinceApproval adds the redline of what changed since the text was last approved.
func sinceApproval(t *textView, c *casefile.Case, versions []casefile.Text) {
	v := approvedVersion(c, versions, t.T.TextKey)
	if v == nil || v.Digest == t.T.Digest {
		return
	}
	t.Redline = wording.Redline(v.Body, t.T.Body)
	if v.Subject != t.T.Subject {
		t.SubjectRedline = wording.Redline(v.Subject, t.T.Subject)
	}
}

func (s *Service) doApprove(w http.ResponseWriter, r *http.Request, u User) error {
	if err := r.ParseForm(); err != nil {
		return badRequest(err)
	}
	v, on, bad := r.PostForm, onOf(r), &Invalid{}
	if v.Get("read") == "" {
		bad.add("read", "Say that you have read every text")
	}
	if len(v["channels"]) == 0 {
		bad.add("channels", "Choose at least one channel")
	}
	read := Read{Kind: v.Get("kind"), SheetDigest: v.Get("sheet"), ScopeDigest: v.Get("list"), Channels: v["channels"], Texts: readTexts(v["text"])}
	read.Revision, _ = strconv.Atoi(v.Get("revision"))
	var err error
	if read.ValidHours, err = strconv.Atoi(strings.TrimSpace(v.Get("valid_hours"))); err != nil || read.ValidHours < 1 {
		bad.add("valid_hours", "Give a number of hours")
	}
	err = bad.or()
	if err == nil {
		_, err = s.Approve(r.Context(), u, on, read)
	}
	if err != nil {
		return s.renderApprove(w, r, u, err)
	}
	return s.done(w, r, "/cases/"+on.Case, "Approved and signed")
}

// readTexts reads "audience/channel/language=digest".
func readTexts(values []string) []event.ApprovedText {
	var out []event.ApprovedText
	for _, v := range values {
		key, digest, _ := strings.Cut(v, "=")
		parts := strings.SplitN(key, "/", 3)
		if len(parts) != 3 {
			continue
		}
		out = append(out, event.ApprovedText{TextKey: event.TextKey{Audience: parts[0], Channel: parts[1], Language: parts[2]}, Digest: digest})
	}
	return out
}

func (s *Service) doOverride(w http.ResponseWriter, r *http.Request, u User) error {
	on := onOf(r)
	o := event.CheckOverridden{Check: r.PostFormValue("check"), Reason: r.PostFormValue("reason"),
		TextKey: event.TextKey{Audience: r.PostFormValue("audience"), Channel: r.PostFormValue("channel"), Language: r.PostFormValue("language")}}
	render, back := s.renderApprove, "/cases/"+on.Case+"/approve#checks"
	if r.PostFormValue("page") == "check" {
		render, back = s.renderCheck, "/cases/"+on.Case+"/wording/check"
	}
	if _, err := s.OverrideCheck(r.Context(), u, on, o); err != nil {
		return render(w, r, u, err)
	}
	return s.done(w, r, back, "The decision is recorded")
}

func (s *Service) doRevoke(w http.ResponseWriter, r *http.Request, u User) error {
	on := onOf(r)
	if _, err := s.RevokeApproval(r.Context(), u, on, event.ApprovalRevoked{Approval: r.PathValue("approval"), Reason: r.PostFormValue("reason")}); err != nil {
		return s.renderApprove(w, r, u, err)
	}
	return s.done(w, r, "/cases/"+on.Case+"/approve", "The approval is taken back")
}
