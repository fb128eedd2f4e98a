package event

import "time"

// ExposureStated says what was exposed: these datasets in this window. Each
// statement replaces the one before it and leads to a new sealed revision.
type ExposureStated struct {
	Exposures []Exposure `json:"exposures"`
	Note      string     `json:"note,omitempty"`
}

// Exposure is one dataset that was reachable during a window.
type Exposure struct {
	Dataset string `json:"dataset"`
	// From and To bound the window, From inclusive, To exclusive, in UTC. A
	// record counts if it was held at any instant of the window.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Categories limits the exposure to these Fides keys; empty means all the
	// dataset holds.
	Categories []string `json:"categories,omitempty"`
	// Ring is how certain the access is: "proven", "in_system" or "possible".
	Ring string `json:"ring,omitempty"`
	// Protection is the state of the data: "" (plain), "hashed",
	// "encrypted_key_safe" or "encrypted_key_lost".
	Protection string `json:"protection,omitempty"`
	// Only limits the exposure to some of the people of the dataset.
	Only *Only `json:"only,omitempty"`
}

// Only says which people an exposure reaches, as the inventory knows them. Each
// list that is not empty must hold, and one of its words is enough.
type Only struct {
	// Jurisdictions are ISO 3166 codes or "unknown"; a country stands for its parts too.
	Jurisdictions []string `json:"jurisdictions,omitempty"`
	Relations     []string `json:"relations,omitempty"`
	AgeClasses    []string `json:"age_classes,omitempty"`
	// Channels are "email", "sms", "post" or "fax": how the person can be reached.
	Channels []string `json:"channels,omitempty"`
}

// ScopeSealed says that the list of affected people is fixed. It carries
// counts and a digest, never people.
type ScopeSealed struct {
	// Revision counts from 1 within the case.
	Revision int `json:"revision"`
	// Statement is the id of the ExposureStated event it answers.
	Statement string `json:"statement"`
	// People is the number of distinct people on the list.
	People int64  `json:"people"`
	Counts Counts `json:"counts"`
	// Digest covers every person number and exposed category of the revision.
	Digest string `json:"digest"`
	// Controllers holds the list and counts of each partner for whom data are
	// processed, by the partner's id; the organisation's own stand under "". It
	// is left out where all data are the organisation's own. A person may be on
	// several.
	Controllers map[string]ControllerCounts `json:"controllers,omitempty"`
}

// Counts are exact numbers of people on a sealed list. Each map adds up to
// People, except Channels and Categories, where a person may count many times.
type Counts struct {
	// Jurisdictions are keyed by ISO 3166 code ("GB", "US-CA") or "unknown".
	Jurisdictions map[string]int64 `json:"jurisdictions"`
	// Languages are keyed by BCP 47 tag or "unknown".
	Languages map[string]int64 `json:"languages"`
	// Channels are keyed "email", "sms", "post", "fax", "none".
	Channels   map[string]int64 `json:"channels"`
	AgeClasses map[string]int64 `json:"age_classes,omitempty"`
	// Categories are keyed by the code of package category.
	Categories map[string]int64 `json:"categories,omitempty"`
	Rings      map[string]int64 `json:"rings,omitempty"`
}

// ScopeRefused says why a statement could not be turned into a list.
type ScopeRefused struct {
	Statement string `json:"statement"`
	Reason    string `json:"reason"`
}
