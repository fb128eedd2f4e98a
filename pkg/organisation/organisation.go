// Package organisation describes the tenants of an installation: who they are
// in law, how they may be reached, which channels they promised, and who must
// approve what. A tenant is one YAML file; the file holds no secret and no
// person's data beyond the organisation's own contact points.
package organisation

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Organisation is one tenant.
type Organisation struct {
	// ID stands in subjects and URLs: lower-case letters, digits, '-' and '_'.
	ID   string `yaml:"id" json:"id"`
	Name string `yaml:"name" json:"name"`
	// Language is the BCP 47 tag of the texts when a person's language is unknown.
	Language string `yaml:"language" json:"language"`
	// Languages are all languages in which the organisation writes to people.
	Languages []string `yaml:"languages" json:"languages"`
	// Zone is the IANA zone in which its people read times.
	Zone string `yaml:"zone" json:"zone"`
	Law  Law    `yaml:"law" json:"law"`
	// Contact is the contact point named in notices; nil means that none is known.
	Contact *ContactPoint `yaml:"contact" json:"contact,omitempty"`
	// Channels is the order in which the organisation promised to reach people:
	// "email", "sms", "post", "fax", "voice", "page".
	Channels []string `yaml:"channels" json:"channels"`
	Sender   Sender   `yaml:"sender" json:"sender"`
	// Promises are breach promises of its own policy: ids of rules in <id>.rules.yaml beside its file.
	Promises []string `yaml:"promises,omitempty" json:"promises,omitempty"`
	// RetentionMonths is the promised retention after the last purchase or visit; 0 means silent.
	RetentionMonths int      `yaml:"retention_months,omitempty" json:"retention_months,omitempty"`
	Approval        Approval `yaml:"approval" json:"approval"`
	// Canaries are made-up people whose mailboxes and numbers are the
	// organisation's own. Every batch carries a message to one of them, and the
	// provider is asked whether it holds exactly that. Empty: no batch is checked so.
	Canaries []Canary `yaml:"canaries,omitempty" json:"canaries,omitempty"`
	// ReminderHours are the hours before a due instant at which it reminds; the default is 48, 24, 12, 4, 1.
	ReminderHours []int `yaml:"reminder_hours,omitempty" json:"reminder_hours,omitempty"`
	// EscalateHours is how often a reminder is repeated that nobody acknowledges, within
	// the last 24 hours before a due instant; the default is 4.
	EscalateHours int `yaml:"escalate_hours,omitempty" json:"escalate_hours,omitempty"`
	// QuietHours are the hours in which people get no text message, in their own
	// zone; nil means that there are none.
	QuietHours *QuietHours `yaml:"quiet_hours,omitempty" json:"quiet_hours,omitempty"`
	// InDoubt is what becomes of a message of which no evidence tells whether it
	// left: Resend, Hold or Cancel; the installation's policy when empty.
	InDoubt string `yaml:"in_doubt,omitempty" json:"in_doubt,omitempty"`
	// AllowedLinks are the host names to which a notice may link.
	AllowedLinks []string `yaml:"allowed_links,omitempty" json:"allowed_links,omitempty"`
	// MailboxDomains are the domains of mailboxes whose logins the organisation
	// itself holds. If such a login is exposed, that mailbox is not written to.
	// Empty means that it is unknown: then every mailbox counts as compromised
	// whose address was exposed together with a password.
	MailboxDomains []string `yaml:"mailbox_domains,omitempty" json:"mailbox_domains,omitempty"`
	// Silent lists what its privacy policy leaves open; Tocsin asks a person, never guesses.
	Silent []string `yaml:"silent,omitempty" json:"silent,omitempty"`
}

// The policies for messages in doubt.
const (
	// Resend sends a second copy that says it may be one.
	Resend = "resend"
	// Hold leaves the decision to a person.
	Hold = "hold"
	// Cancel lets SendGrid hold email back for a quarter of an hour, so that a mail
	// in doubt can be cancelled and written anew; where that fails it is Resend.
	Cancel = "cancel"
)

// Policies lists the policies for messages in doubt.
func Policies() []string { return []string{Resend, Hold, Cancel} }

// Law is what the law engine must know about an organisation.
type Law struct {
	// Establishments are the places where it is established; empty means unknown.
	Establishments []Establishment `yaml:"establishments" json:"establishments"`
	// LeadAuthority is the ISO country of the lead supervisory authority, if there is one.
	LeadAuthority string `yaml:"lead_authority,omitempty" json:"lead_authority,omitempty"`
	// Kinds are the words of the rule records for what it is: "controller",
	// "processor", "telecom-provider", "financial-entity", …
	Kinds []string `yaml:"kinds" json:"kinds"`
	// Unsure are kinds that nobody has decided yet; rules treat them as present and say so.
	Unsure []string `yaml:"unsure,omitempty" json:"unsure,omitempty"`
	// Candidates are jurisdictions that may apply while it is undecided where it is established.
	Candidates []string `yaml:"candidates,omitempty" json:"candidates,omitempty"`
}

// Establishment is one place of business.
type Establishment struct {
	// Place is an ISO 3166 code: "GB", "SE", "US-CA".
	Place string `yaml:"place" json:"place"`
	Main  bool   `yaml:"main,omitempty" json:"main,omitempty"`
}

// ContactPoint is where people may turn, as named in every notice.
type ContactPoint struct {
	// Label says what it is: "Data Protection Officer", "Customer support".
	Label string `yaml:"label" json:"label"`
	DPO   bool   `yaml:"dpo,omitempty" json:"dpo,omitempty"`
	Email string `yaml:"email,omitempty" json:"email,omitempty"`
	Phone string `yaml:"phone,omitempty" json:"phone,omitempty"`
	Post  string `yaml:"post,omitempty" json:"post,omitempty"`
	URL   string `yaml:"url,omitempty" json:"url,omitempty"`
}

// Sender is the identity under which messages leave.
type Sender struct {
	EmailName string `yaml:"email_name,omitempty" json:"email_name,omitempty"`
	Email     string `yaml:"email,omitempty" json:"email,omitempty"`
	ReplyTo   string `yaml:"reply_to,omitempty" json:"reply_to,omitempty"`
	// SMS is an E.164 number or a Twilio Messaging Service SID.
	SMS  string `yaml:"sms,omitempty" json:"sms,omitempty"`
	Post string `yaml:"post,omitempty" json:"post,omitempty"`
}

// Approval is the organisation's policy for approving words.
type Approval struct {
	// Eyes is how many different people besides the writer must say yes; at least 1
	// unless OnePerson is set.
	Eyes int `yaml:"eyes" json:"eyes"`
	// Roles may approve.
	Roles []string `yaml:"roles" json:"roles"`
	// ReadersOnly demands that a text is approved by someone marked able to read its language.
	ReadersOnly bool `yaml:"readers_only,omitempty" json:"readers_only,omitempty"`
	// OnePerson is the explicit policy of a one-person organisation: the writer may
	// approve, and every record says so.
	OnePerson bool `yaml:"one_person,omitempty" json:"one_person,omitempty"`
	// ValidHours is how long an approval stands; the default is 72.
	ValidHours int `yaml:"valid_hours,omitempty" json:"valid_hours,omitempty"`
	// LeadHours is how long an approval usually takes once the texts are
	// written, for forecasts; 0 means that it is not known.
	LeadHours int `yaml:"lead_hours,omitempty" json:"lead_hours,omitempty"`
	// Stricter are demands that some texts make on top of these.
	Stricter []StricterApproval `yaml:"stricter,omitempty" json:"stricter,omitempty"`
}

// Location returns the organisation's zone. Load has checked that it exists.
func (o *Organisation) Location() *time.Location {
	loc, err := time.LoadLocation(o.Zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// ErrUnknown means that no organisation has the id asked for.
var ErrUnknown = errors.New("unknown organisation")

// Registry is the set of organisations of an installation, read once at start.
type Registry struct{ byID map[string]*Organisation }

// Get returns the organisation with the id, or ErrUnknown.
func (r *Registry) Get(id string) (*Organisation, error) {
	if o := r.byID[id]; o != nil {
		return o, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknown, id)
}

// All returns every organisation in order of its id.
func (r *Registry) All() []*Organisation {
	all := make([]*Organisation, 0, len(r.byID))
	for _, o := range r.byID {
		all = append(all, o)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return all
}

// rulesSuffix ends the names of files that hold an organisation's own rules.
const rulesSuffix = ".rules.yaml"

// OwnRules reads every <id>.rules.yaml at the top of fsys: the promises and
// contracts of an organisation as rule records, by organisation id. A file
// whose organisation is not in r is an error, and so is a promise of r whose
// organisation has no such file.
func (r *Registry) OwnRules(fsys fs.FS) (map[string][]byte, error) {
	names, err := fs.Glob(fsys, "*"+rulesSuffix)
	if err != nil {
		return nil, fmt.Errorf("list own rules: %w", err)
	}
	own := map[string][]byte{}
	for _, name := range names {
		id := strings.TrimSuffix(name, rulesSuffix)
		if r.byID[id] == nil {
			return nil, fmt.Errorf("own rules %s: %w: %q; name the file <organisation>%s", name, ErrUnknown, id, rulesSuffix)
		}
		if own[id], err = fs.ReadFile(fsys, name); err != nil {
			return nil, fmt.Errorf("own rules %s: %w", name, err)
		}
	}
	for _, o := range r.All() {
		if len(o.Promises) > 0 && own[o.ID] == nil {
			return nil, fmt.Errorf("organisation %s promises %s, but there is no file %s that says what these mean", o.ID, strings.Join(o.Promises, ", "), o.ID+rulesSuffix)
		}
	}
	return own, nil
}

// Load reads every *.yaml file at the top of fsys, except own rules. Errors
// name the file and, for unknown fields, the line.
func Load(fsys fs.FS) (*Registry, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list organisations: %w", err)
	}
	r := &Registry{byID: map[string]*Organisation{}}
	for _, name := range names {
		if strings.HasSuffix(name, rulesSuffix) {
			continue
		}
		o, err := read(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("organisation file %s: %w", path.Base(name), err)
		}
		if r.byID[o.ID] != nil {
			return nil, fmt.Errorf("organisation file %s: id %q is used by another file", path.Base(name), o.ID)
		}
		r.byID[o.ID] = o
	}
	return r, nil
}

func read(fsys fs.FS, name string) (*Organisation, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	var o Organisation
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&o); err != nil {
		return nil, err
	}
	o.defaults()
	return &o, o.validate()
}

func (o *Organisation) defaults() {
	if len(o.ReminderHours) == 0 {
		o.ReminderHours = []int{48, 24, 12, 4, 1}
	}
	if o.EscalateHours == 0 {
		o.EscalateHours = 4
	}
	if o.Approval.ValidHours == 0 {
		o.Approval.ValidHours = 72
	}
	if o.Approval.Eyes == 0 && !o.Approval.OnePerson {
		o.Approval.Eyes = 1
	}
	if len(o.Approval.Roles) == 0 {
		o.Approval.Roles = []string{"legal", "dpo"}
	}
	if len(o.Languages) == 0 {
		o.Languages = []string{o.Language}
	}
}

func (o *Organisation) validate() error {
	switch {
	case o.ID == "":
		return errors.New("id is missing")
	case o.Name == "":
		return errors.New("name is missing")
	case o.Language == "":
		return errors.New("language is missing: give the BCP 47 tag of its notices, such as en-GB")
	case o.EscalateHours < 1 || o.EscalateHours > 24:
		return fmt.Errorf("escalate_hours is %d; want 1 to 24", o.EscalateHours)
	case slices.ContainsFunc(o.ReminderHours, func(h int) bool { return h < 1 || h > 24*90 }):
		return fmt.Errorf("reminder_hours are %v; want hours from 1 to 2160", o.ReminderHours)
	case o.InDoubt != "" && !slices.Contains(Policies(), o.InDoubt):
		return fmt.Errorf("in_doubt is %q; want one of %v", o.InDoubt, Policies())
	case len(o.Law.Kinds) == 0:
		return errors.New("law.kinds is missing: say at least controller or processor")
	}
	if err := o.QuietHours.validate(); err != nil {
		return err
	}
	if err := o.Approval.validate(); err != nil {
		return err
	}
	for i, c := range o.Canaries {
		if err := c.validate(); err != nil {
			return fmt.Errorf("canaries[%d]: %w", i, err)
		}
	}
	if _, err := time.LoadLocation(o.Zone); err != nil || o.Zone == "" {
		return fmt.Errorf("zone %q is not an IANA zone such as Europe/London", o.Zone)
	}
	return nil
}
