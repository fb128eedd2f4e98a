package law

import "time"

// Document is the answer of tocsin law due; its JSON is schemas/law/duties.v1.json.
type Document struct {
	Rules  string `json:"rules"` // digest of the rule package
	At     string `json:"at,omitempty"`
	Duties []Duty `json:"duties"`
}

// Document computes the duties of a case and wraps them with the digest of the rules, so that an answer can be replayed.
func (r *Rules) Document(f Facts, at time.Time, o Options) Document {
	d := Document{Rules: r.version, Duties: r.DutiesWith(f, at, o)}
	if !at.IsZero() {
		d.At = at.UTC().Format(time.RFC3339)
	}
	return d
}
