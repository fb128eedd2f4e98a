package event

import "time"

// TextKey names one text of a wording set.
type TextKey struct {
	// Audience is "people", "guardians", "partners" or "public".
	Audience string `json:"audience"`
	// Channel is "email", "sms", "letter" or "page".
	Channel string `json:"channel"`
	// Language is a BCP 47 tag such as "en-GB" or "sv".
	Language string `json:"language"`
}

// String returns "audience/channel/language".
func (k TextKey) String() string { return k.Audience + "/" + k.Channel + "/" + k.Language }

// WordingDrafted is a new version of one text. The body is a template with
// merge fields, so it holds no personal data.
type WordingDrafted struct {
	TextKey
	// Version counts from 1 for each key.
	Version int    `json:"version"`
	Subject string `json:"subject,omitempty"`
	// Body is Markdown with merge fields from package wording's closed list.
	Body string `json:"body"`
	// Digest is wording.Digest over key, subject and body.
	Digest string `json:"digest"`
}

// WordingRejected sends a text back to its writer.
type WordingRejected struct {
	TextKey
	Digest string `json:"digest"`
	Reason string `json:"reason"`
}

// Approval is the statement an approver signs: exactly these words, this
// sealed list, these channels, within this window.
type Approval struct {
	ID   string `json:"id"`
	Org  string `json:"org"`
	Case string `json:"case"`
	// Kind is the kind of notice: "first", "supplement" or "correction".
	Kind string `json:"kind"`
	// Texts are all texts that may be sent, each with its digest.
	Texts []ApprovedText `json:"texts"`
	// SheetDigest covers the facts sheet that feeds the texts (casefile.SheetDigest).
	SheetDigest string `json:"sheet_digest"`
	// Revision and ScopeDigest name the sealed list.
	Revision    int      `json:"revision"`
	ScopeDigest string   `json:"scope_digest"`
	Channels    []string `json:"channels"`
	// Duties are the ids of the duties that the notice fulfils.
	Duties     []string  `json:"duties,omitempty"`
	ValidFrom  time.Time `json:"valid_from"`
	ValidUntil time.Time `json:"valid_until"`
	Approver   string    `json:"approver"`
	Role       string    `json:"role"`
	ApprovedAt time.Time `json:"approved_at"`
	// Policy names the organisation's approval policy under which this yes counts.
	Policy string `json:"policy,omitempty"`
	// Terms are the rules of that policy, so that the record can be verified
	// without the organisation's settings.
	Terms *ApprovalTerms `json:"terms,omitempty"`
	// Reads are the languages of the texts that the approver is marked able to
	// read, as BCP 47 tags.
	Reads []string `json:"reads,omitempty"`
}

// ApprovalTerms are an organisation's rules for approving, as they were when a
// yes was given.
type ApprovalTerms struct {
	// Eyes is how many different people besides the writers must say yes.
	Eyes int `json:"eyes"`
	// Roles may approve.
	Roles []string `json:"roles"`
	// ReadersOnly demands a yes from a reader of every text's language.
	ReadersOnly bool `json:"readers_only,omitempty"`
	// OnePerson is the explicit policy of a one-person organisation.
	OnePerson bool `json:"one_person,omitempty"`
}

// ApprovedText is one text of an approval.
type ApprovedText struct {
	TextKey
	Digest string `json:"digest"`
}

// Signature is an Ed25519 signature of package seal over a canonical digest.
type Signature struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// WordingApproved is a signed yes. The sender verifies it before it sends anything.
type WordingApproved struct {
	Approval  Approval  `json:"approval"`
	Signature Signature `json:"signature"`
}

// WordingCommented is a reviewer's remark on a passage of a text.
type WordingCommented struct {
	TextKey
	// Digest names the version the remark is about.
	Digest string `json:"digest"`
	// Passage is the quoted passage; empty for the text as a whole.
	Passage string `json:"passage,omitempty"`
	Comment string `json:"comment"`
}

// WordingTested says that a version of a text was sent, marked as a test, to
// registered people of the organisation. It tells nobody of the list anything.
type WordingTested struct {
	TextKey
	// Digest names the version that was sent.
	Digest string `json:"digest"`
	// Test is the id of the test.
	Test string `json:"test"`
	// By is the user who asked for it.
	By string `json:"by"`
	// To are the users whose message a provider accepted; Failed are the others.
	To     []string `json:"to"`
	Failed []string `json:"failed,omitempty"`
	// Person is the number of the person of the list whose values were put in;
	// absent for a made-up one.
	Person int64 `json:"person,omitempty"`
}

// CheckOverridden is a second person's decision that a finding of the wording
// checks may stand, with the reason.
type CheckOverridden struct {
	TextKey
	Digest string `json:"digest"`
	// Check is the name of the check, as package wording gives it.
	Check  string `json:"check"`
	Reason string `json:"reason"`
}

// ApprovalRevoked takes back an approval, or every approval of an approver who
// lost the right to approve.
type ApprovalRevoked struct {
	// Approval is the id of one approval; empty with Approver set.
	Approval string `json:"approval,omitempty"`
	Approver string `json:"approver,omitempty"`
	Reason   string `json:"reason"`
}
