package event

import "time"

// AlertState is what people have decided about an alert.
type AlertState string

// The states of an alert. A new alert is a candidate: it proposes and never declares.
const (
	AlertNew       AlertState = "new"
	AlertInCase    AlertState = "linked"
	AlertDismissed AlertState = "dismissed"
)

// AlertsQuestion is what the desk asks on AskAlerts. Org and exactly one of
// List, Get, Dismiss, Reopen and Sources are set; the answer never crosses the
// organisation.
type AlertsQuestion struct {
	Org     string          `json:"org"`
	List    *AlertsList     `json:"list,omitempty"`
	Get     string          `json:"get,omitempty"`
	Dismiss *AlertDismissal `json:"dismiss,omitempty"`
	// Reopen is the id of a dismissed alert to make new again.
	Reopen  string `json:"reopen,omitempty"`
	Sources bool   `json:"sources,omitempty"`
}

// AlertsList filters the alerts of an organisation. Empty fields do not filter.
type AlertsList struct {
	State    AlertState `json:"state,omitempty"`
	Source   string     `json:"source,omitempty"`
	Severity int        `json:"severity_id,omitempty"` // this severity or worse
	Unmapped bool       `json:"unmapped,omitempty"`    // only alerts that no mapping could read
	Personal bool       `json:"personal,omitempty"`    // only alerts that name categories of personal data
	// Text is looked for in title, description, product, hosts and users, ignoring case.
	Text string `json:"text,omitempty"`
	// Order is "received" (newest first, the default) or "severity" (worst first, then newest).
	Order string `json:"order,omitempty"`
	// After is the Next of the page before.
	After string `json:"after,omitempty"`
	// Limit is the size of a page, 1 to 200; the default is 50.
	Limit int `json:"limit,omitempty"`
}

// AlertDismissal is a person's decision that an alert needs no case.
type AlertDismissal struct {
	Alert  string `json:"alert"`
	By     string `json:"by"` // user id
	Reason string `json:"reason"`
}

// AlertsAnswer answers an AlertsQuestion. Which fields are set follows from the question.
type AlertsAnswer struct {
	Alerts []Alert `json:"alerts,omitempty"`
	// Next continues the list; empty on the last page.
	Next string `json:"next,omitempty"`
	// Counts are the alerts of the organisation by state, whatever the filter.
	Counts map[AlertState]int64 `json:"counts,omitempty"`
	Alert  *AlertDetail         `json:"alert,omitempty"`
	// Sources are the configured sources of the organisation.
	Sources []AlertSource `json:"sources,omitempty"`
}

// Alert is one line of the alert queue. Text in it comes from outside: it is
// clean of control and direction characters and must still be escaped.
type Alert struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	AlertFacts
	State      AlertState `json:"state"`
	Case       string     `json:"case,omitempty"`
	Unmapped   bool       `json:"unmapped,omitempty"`
	ReceivedAt time.Time  `json:"received_at"`
	// Count is how many times it was received; LastAt is the latest time.
	Count  int64     `json:"count"`
	LastAt time.Time `json:"last_at"`
}

// AlertFacts is what a mapping read from the sender's document. Names follow
// OCSF where it has one.
type AlertFacts struct {
	// Product is the short name of the product, such as "aws-guardduty".
	Product     string `json:"product,omitempty"`
	ProductName string `json:"product_name,omitempty"`
	Vendor      string `json:"vendor_name,omitempty"`
	ClassUID    int    `json:"class_uid,omitempty"`
	// ExternalID is the sender's own stable id; empty if it has none.
	ExternalID string   `json:"external_id,omitempty"`
	Title      string   `json:"title"`
	Desc       string   `json:"desc,omitempty"`
	Types      []string `json:"types,omitempty"`
	// Link leads back to the alert in the product; http or https, or empty.
	Link string `json:"link,omitempty"`
	// OccurredAt is the earliest activity stated, DetectedAt when the product
	// raised it, both in UTC; nil if the document does not say. Neither is awareness.
	OccurredAt *time.Time `json:"occurred_at,omitempty"`
	DetectedAt *time.Time `json:"detected_at,omitempty"`
	// AssumedZone says that a time came without a zone and was read as UTC.
	AssumedZone bool `json:"time_assumed_zone,omitempty"`
	// SeverityID is 0 unknown, 1 informational, 2 low, 3 medium, 4 high, 5 critical, 6 fatal.
	SeverityID int `json:"severity_id"`
	// Severity is the sender's own word or number.
	Severity string `json:"severity,omitempty"`
	// Status is the sender's own word, in lower case.
	Status      string          `json:"status,omitempty"`
	Devices     []AlertDevice   `json:"device,omitempty"`
	Users       []AlertUser     `json:"users,omitempty"`
	Resources   []AlertResource `json:"resources,omitempty"`
	Data        []AlertData     `json:"data_classifications,omitempty"`
	Observables []string        `json:"observables,omitempty"`
}

// AlertDevice is a machine the alert concerns.
type AlertDevice struct {
	Hostname string `json:"hostname,omitempty"`
	IP       string `json:"ip,omitempty"`
	UID      string `json:"uid,omitempty"`
}

// Label returns the best name of the device.
func (d AlertDevice) Label() string { return firstWord(d.Hostname, d.IP, d.UID) }

// AlertUser is an account the alert concerns, never the analyst who owns it.
type AlertUser struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email_addr,omitempty"`
	UID   string `json:"uid,omitempty"`
}

// Label returns the best name of the account.
func (u AlertUser) Label() string { return firstWord(u.Name, u.Email, u.UID) }

// AlertResource is anything else the alert concerns.
type AlertResource struct {
	Type string `json:"type,omitempty"`
	UID  string `json:"uid"`
}

// AlertData is a category of data that the sender says was found or touched.
type AlertData struct {
	Category string `json:"category"`
	Count    int64  `json:"count,omitempty"`
}

// AlertDetail is all that is known of one alert.
type AlertDetail struct {
	Alert
	// Mapping is the mapping that read it and its version; empty if unmapped.
	Mapping        string `json:"mapping,omitempty"`
	MappingVersion int    `json:"mapping_version,omitempty"`
	// Problems say which fields of the mapping could not be read and why.
	Problems []string `json:"problems,omitempty"`
	// Raw is the body of the delivery exactly as it was received, nil when it
	// could not be read; RawProblem says why. RawDocument counts from 0 and
	// tells which of several documents in the body it is.
	Raw         []byte `json:"raw,omitempty"`
	RawType     string `json:"raw_type,omitempty"`
	RawSHA256   string `json:"raw_sha256"`
	RawProblem  string `json:"raw_problem,omitempty"`
	RawDocument int    `json:"raw_document"`
	// Dismissal is set when State is AlertDismissed.
	Dismissal *AlertDismissal `json:"dismissal,omitempty"`
	// DecidedAt is when it was linked or dismissed.
	DecidedAt *time.Time     `json:"decided_at,omitempty"`
	Related   []RelatedAlert `json:"related,omitempty"`
}

// RelatedAlert is an alert that may belong to the same incident.
type RelatedAlert struct {
	Alert
	// Why are the reasons, such as "host FS-02" and "user amira".
	Why []string `json:"why"`
}

// AlertSource is a configured sender and its heartbeat.
type AlertSource struct {
	ID string `json:"id"`
	// Scheme is how it proves itself: "bearer", "basic", "standard-webhooks" or "hmac".
	Scheme  string `json:"scheme"`
	Mapping string `json:"mapping,omitempty"`
	// LastAt is when its last authentic message came; nil if none ever did.
	LastAt   *time.Time `json:"last_at,omitempty"`
	Received int64      `json:"received"`
	// SilentAfterHours is the silence after which Silent is set; 0 means never.
	SilentAfterHours int  `json:"silent_after_hours,omitempty"`
	Silent           bool `json:"silent,omitempty"`
}

func firstWord(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
