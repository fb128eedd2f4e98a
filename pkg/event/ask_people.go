package event

import "time"

// Questions of people about people's data, which scope answers to the desk.
const (
	// AskAudit lists who asked for people's data and why; answered by scope.
	AskAudit = "tocsin.ask.scope.audit"
	// AskFindings tells legal and the data protection officer what the sealed
	// lists of a case say about the organisation itself; answered by scope.
	AskFindings = "tocsin.ask.scope.findings"
)

// AuditQuestion lists entries of the audit, newest first.
type AuditQuestion struct {
	Org string `json:"org"`
	// Asker is the signed-in person; scope demands the role dpo, legal or admin.
	Asker Actor `json:"asker"`
	// Case limits the entries to one case.
	Case string `json:"case,omitempty"`
	// Everything includes the batches of contacts that the sender asked for.
	Everything bool `json:"everything,omitempty"`
	// After is the Next of the answer before.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// AuditAnswer is one page of the audit; Next is empty on the last.
type AuditAnswer struct {
	Entries []AuditEntry `json:"entries"`
	Next    string       `json:"next,omitempty"`
}

// AuditEntry is one act on people's data. It holds no personal data itself: who
// was looked at is a number.
type AuditEntry struct {
	At time.Time `json:"at"`
	// Actor is the id of the person with the role, an operator, or a service.
	Actor string `json:"actor"`
	// Act is "search", "show", "reveal", "contacts", "preview", "export", "erase", ….
	Act    string `json:"act"`
	Case   string `json:"case,omitempty"`
	People int64  `json:"people"`
	Detail string `json:"detail,omitempty"`
}

// FindingsQuestion asks what a sealed list says about the organisation itself.
type FindingsQuestion struct {
	Org      string `json:"org"`
	Case     string `json:"case"`
	Revision int    `json:"revision"`
	// Asker is the signed-in person; scope demands the role dpo or legal.
	Asker Actor `json:"asker"`
}

// FindingsAnswer is for the privileged part of the case and never stands in
// its journal.
type FindingsAnswer struct {
	Revision int   `json:"revision"`
	People   int64 `json:"people"`
	// KeptTooLong are people whose last activity lies further back than the
	// promised retention. They are told all the same.
	KeptTooLong int64 `json:"kept_too_long"`
	// Erased are people who had a record there and were erased on request.
	Erased int64 `json:"erased"`
	// Relations counts people by relation.
	Relations map[string]int64 `json:"relations,omitempty"`
}
