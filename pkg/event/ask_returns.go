package event

import "time"

// AskReturns takes back what a printer, a post office or a fax gateway says
// about the files that were handed to them; answered by notice to the roles
// dpo, legal and admin.
const AskReturns = "tocsin.ask.notice.returns"

// MaxReturns is the most bytes of one file of returns.
const MaxReturns = 600_000

// ReturnsQuestion is one file, whole.
type ReturnsQuestion struct {
	Org   string `json:"org"`
	Case  string `json:"case"`
	Asker Actor  `json:"asker"`
	// Text is CSV with a header: code, outcome and at for what became of single
	// letters or faxes, or file, count, posted_at and batch as proof of posting.
	Text string `json:"text"`
	// DryRun says what the file would change and changes nothing.
	DryRun bool `json:"dry_run,omitempty"`
}

// ReturnsAnswer is what a file came to. With faults nothing was changed.
type ReturnsAnswer struct {
	// Kind is "outcomes" or "proof".
	Kind   string `json:"kind"`
	DryRun bool   `json:"dry_run"`
	Lines  int64  `json:"lines"`
	// Changed are lines that told something new, Known those that did not.
	Changed int64 `json:"changed"`
	Known   int64 `json:"known"`
	// Outcomes counts lines by their outcome.
	Outcomes map[string]int64 `json:"outcomes,omitempty"`
	// NextRung are people who are now written to on their next channel,
	// Unreachable those without one, Excluded those who are dead.
	NextRung    int64          `json:"next_rung"`
	Unreachable int64          `json:"unreachable"`
	Excluded    int64          `json:"excluded"`
	Faults      []ReturnsFault `json:"faults,omitempty"`
}

// ReturnsFault says what is wrong with one value. It never shows the value.
type ReturnsFault struct {
	Line int `json:"line"`
	// Column is the name in the header; empty for the line as a whole.
	Column  string `json:"column,omitempty"`
	Message string `json:"message"`
}

// PaperFile is one file of letters or faxes that was handed over.
type PaperFile struct {
	Name    string `json:"name"`
	Channel string `json:"channel"`
	// Letters is how many the file holds, WrittenAt when it was made.
	Letters   int64     `json:"letters"`
	WrittenAt time.Time `json:"written_at"`
	// PostedAt is the proof of posting; nil while there is none. Batch is the
	// printer's own name for it.
	PostedAt *time.Time `json:"posted_at,omitempty"`
	Batch    string     `json:"batch,omitempty"`
}
