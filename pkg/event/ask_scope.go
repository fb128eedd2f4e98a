package event

import (
	"time"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
)

// Further questions that scope answers. Like all answers they are never stored.
const (
	// AskDifference compares two sealed revisions of a case in counts; answered by scope.
	AskDifference = "tocsin.ask.scope.difference"
	// AskEnter checks or takes in a small list of people typed or uploaded by a
	// person, such as the names in a stolen paper file; answered by scope to desk.
	AskEnter = "tocsin.ask.scope.enter"
	// AskErase erases people on request; answered by scope to desk.
	AskErase = "tocsin.ask.scope.erase"
)

// MaxContacts is the most people that one ContactsQuestion may ask for.
const MaxContacts = 1000

// InventoryQuestion asks what an organisation holds.
type InventoryQuestion struct {
	Org string `json:"org"`
}

// InventoryAnswer lists the systems of an organisation with their datasets.
type InventoryAnswer struct {
	Org string `json:"org"`
	// People is how many people are known, duplicates joined and erased people left out.
	People int64 `json:"people"`
	// Erased is how many were erased on request.
	Erased int64 `json:"erased,omitempty"`
	// Generation counts the deliveries taken in.
	Generation int64             `json:"generation"`
	Systems    []InventorySystem `json:"systems"`
	// Busy describes the import or erasure under way, or is empty.
	Busy string `json:"busy,omitempty"`
}

// InventorySystem is one system with its datasets.
type InventorySystem struct {
	Key      string             `json:"key"`
	Name     string             `json:"name,omitempty"`
	Note     string             `json:"note,omitempty"`
	Datasets []InventoryDataset `json:"datasets"`
}

// InventoryDataset is one dataset: one kind of record about people in one system.
type InventoryDataset struct {
	// Key is what an Exposure names.
	Key  string `json:"key"`
	Name string `json:"name,omitempty"`
	// Categories are the Fides keys of what it holds.
	Categories []string `json:"categories"`
	Purpose    string   `json:"purpose,omitempty"`
	// RetentionMonths is the promised retention; 0 means that none was stated.
	RetentionMonths int `json:"retention_months,omitempty"`
	// Role is the organisation's role for these data: "controller" or "processor".
	Role string `json:"role"`
	// Controller is the id of the partner for whom the data are processed.
	Controller string `json:"controller,omitempty"`
	// Medium is "electronic" or "paper".
	Medium string `json:"medium"`
	// Records counts the records held, not the people.
	Records   int64      `json:"records"`
	FirstSeen *time.Time `json:"first_seen,omitempty"`
	LastSeen  *time.Time `json:"last_seen,omitempty"`
}

// PreviewQuestion asks how many people an exposure would reach. Nothing is kept.
type PreviewQuestion struct {
	Org       string     `json:"org"`
	Case      string     `json:"case,omitempty"`
	Exposures []Exposure `json:"exposures"`
}

// PreviewAnswer counts the people an exposure would reach.
type PreviewAnswer struct {
	People int64  `json:"people"`
	Counts Counts `json:"counts"`
	// Controllers splits the list by the partner for whom the data are
	// processed; the organisation's own data stand under "". A person may count
	// under several.
	Controllers map[string]ControllerCounts `json:"controllers,omitempty"`
	// Erased are people who had a record there and were erased on request.
	Erased int64 `json:"erased,omitempty"`
	// KeptTooLong are people whose last activity lies further back than the
	// promised retention. They are told all the same; the number belongs in the
	// privileged part of the case.
	KeptTooLong int64 `json:"kept_too_long,omitempty"`
	// Relations counts people by relation: "customer", "applicant", ….
	Relations map[string]int64 `json:"relations,omitempty"`
	// Generation is the state of the inventory the counts were taken from.
	Generation int64 `json:"generation"`
	// Problem says in one line why the exposure cannot be answered, or is empty.
	Problem string `json:"problem,omitempty"`
}

// ControllerCounts are the counts of the people told on behalf of one controller.
type ControllerCounts struct {
	People        int64            `json:"people"`
	Jurisdictions map[string]int64 `json:"jurisdictions"`
	// Digest covers the person numbers of this controller and what of its data
	// was exposed; it is empty before sealing.
	Digest string `json:"digest,omitempty"`
}

// ContactsQuestion asks for the contact records of people on a sealed list,
// either by their places on it or by their numbers. Scope answers it to notice
// alone, checks that the revision was sealed for the case, and audits it.
type ContactsQuestion struct {
	Org      string `json:"org"`
	Case     string `json:"case"`
	Revision int    `json:"revision"`
	// Order is the dispatch order for which they are asked, for the audit.
	Order string `json:"order,omitempty"`
	// From and To are places on the list in order of person number, From
	// inclusive, To exclusive, the first being 0. They are ignored if Numbers is set.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Numbers are people of the list, ascending. A number that is not on the
	// list is refused with the whole question.
	Numbers []person.Number `json:"numbers,omitempty"`
	// Controller limits the question to the list of one controller; nil is the
	// whole list, "" the organisation's own data.
	Controller *string `json:"controller,omitempty"`
	// Guardians allows numbers that are guardians of people on the list.
	Guardians bool `json:"guardians,omitempty"`
	// Earlier allows numbers of any earlier revision of the case as well, for
	// corrections. Such people come with what this revision says was exposed of
	// them, which is nothing for whoever is no longer on it.
	Earlier bool `json:"earlier,omitempty"`
	// Asker and Reason are set when a person looks at somebody's notice: scope
	// then demands a role that may reveal people and names the person in its audit.
	Asker  *Actor `json:"asker,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// ContactsAnswer carries contacts in order of person number. Its JSON form is
// packed: a thousand contacts cost a quarter of what field by field would.
type ContactsAnswer struct {
	Contacts []person.Contact
	// Erased are the people asked for who have been erased since the list was sealed.
	Erased []person.Number
	// ErasedExposed is what the list says was exposed of each of Erased: the
	// digest of the list covers them as well.
	ErasedExposed []category.Set
	// Next is the place (or the index into Numbers) at which the next question
	// goes on: the answer stops early where it would grow beyond a message.
	Next int64
}

// PersonQuestion looks for one person, or reveals one that was found. Every
// question is written to scope's audit with its asker and reason.
type PersonQuestion struct {
	Org string `json:"org"`
	// Asker is the signed-in person; scope demands the role dpo, legal or admin.
	Asker Actor `json:"asker"`
	// Find is an email address, a phone number or a full name.
	Find string `json:"find,omitempty"`
	// Ref finds by the organisation's own number of the person.
	Ref string `json:"ref,omitempty"`
	// After is the Next of the answer before, for namesakes beyond the first page.
	After person.Number `json:"after,omitempty"`
	// Number shows one person: masked, or revealed if Reveal is set.
	Number person.Number `json:"number,omitempty"`
	Reveal bool          `json:"reveal,omitempty"`
	// Reason is why; it is demanded with Reveal.
	Reason string `json:"reason,omitempty"`
	Case   string `json:"case,omitempty"`
}

// PersonAnswer lists the people found, at most 50 at a time; Next is 0 when there are no more.
type PersonAnswer struct {
	People []PersonFound `json:"people"`
	Next   person.Number `json:"next,omitempty"`
}

// PersonFound is one person as a search shows them.
type PersonFound struct {
	Number person.Number `json:"number"`
	// Masked shows enough to tell namesakes apart: "A… L…", "a…@e…", "+44…123".
	Masked []string `json:"masked,omitempty"`
	// Revealed is set only when asked for with a reason.
	Revealed *person.Contact `json:"revealed,omitempty"`
	// ErasedAt is when the person was erased on request; nothing else is known then.
	ErasedAt *time.Time `json:"erased_at,omitempty"`
	// Joined are the numbers that are the same person, with the reason.
	Joined []PersonJoined `json:"joined,omitempty"`
	// Datasets are the keys of the datasets that hold a record of the person.
	Datasets []string `json:"datasets,omitempty"`
}

// PersonJoined is a number found to be the same person.
type PersonJoined struct {
	Number person.Number `json:"number"`
	// Reason is which identifiers agreed, such as "email and name".
	Reason string `json:"reason"`
}

// DifferenceQuestion compares two sealed revisions of a case.
type DifferenceQuestion struct {
	Org  string `json:"org"`
	Case string `json:"case"`
	From int    `json:"from"`
	To   int    `json:"to"`
}

// DifferenceAnswer counts what changed from one revision to the other. Added
// people are owed a first notice, widened ones a supplement, removed and
// narrowed ones a correction. A person may be both widened and narrowed.
type DifferenceAnswer struct {
	From     int   `json:"from"`
	To       int   `json:"to"`
	Added    int64 `json:"added"`
	Removed  int64 `json:"removed"`
	Widened  int64 `json:"widened"`
	Narrowed int64 `json:"narrowed"`
	// WidenedBy and NarrowedBy count by the code of the category gained or lost.
	WidenedBy  map[string]int64 `json:"widened_by,omitempty"`
	NarrowedBy map[string]int64 `json:"narrowed_by,omitempty"`
}

// EnterQuestion brings a list of people into the inventory: CSV text in the
// layout of services/scope/inventory/FORMAT.md, at most 700 kB.
type EnterQuestion struct {
	Org   string `json:"org"`
	Asker Actor  `json:"asker"`
	// Dataset is the key of the dataset the people belong to; it is created with
	// Categories and Medium when it does not exist.
	Dataset    string   `json:"dataset"`
	Name       string   `json:"name,omitempty"`
	Categories []string `json:"categories,omitempty"`
	Medium     string   `json:"medium,omitempty"`
	// CSV is the list, one person a row.
	CSV []byte `json:"csv"`
	// Check counts and lists errors without taking anything in.
	Check bool `json:"check,omitempty"`
	// SkipBad takes in the good rows although others have errors: a person's decision.
	SkipBad bool `json:"skip_bad,omitempty"`
}

// EnterAnswer says what a list holds and whether it was taken in.
type EnterAnswer struct {
	TakenIn bool  `json:"taken_in"`
	Rows    int64 `json:"rows"`
	New     int64 `json:"new"`
	Known   int64 `json:"known"`
	// Erased are rows held back because the person was erased on request.
	Erased int64 `json:"erased,omitempty"`
	Bad    int64 `json:"bad,omitempty"`
	// Errors name line and column and never the value; at most 100.
	Errors []string `json:"errors,omitempty"`
}

// EraseQuestion erases people by number, at a person's request.
type EraseQuestion struct {
	Org     string          `json:"org"`
	Asker   Actor           `json:"asker"`
	Numbers []person.Number `json:"numbers"`
	Reason  string          `json:"reason"`
}

// EraseAnswer says how many were erased; those erased before do not count.
type EraseAnswer struct {
	Erased int `json:"erased"`
}
