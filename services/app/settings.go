package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tocsin.dev/pkg/config"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/services/notice/sendgrid"
)

// Settings are what an operator may set, in a YAML file, by environment
// (TOCSIN_NATS_URL for nats.url) or both; the environment wins. Every secret
// may instead be named as a file by the same key with "_file".
type Settings struct {
	// Services to run in this process; empty means all.
	Services []string `koanf:"services"`
	// DataDir holds embedded NATS, SQLite files and generated keys.
	DataDir string `koanf:"data_dir"`
	// Listen is the address of the console, the API, the webhooks and the receipts.
	Listen string `koanf:"listen"`
	// CallbacksListen is an address for nothing but the callbacks of providers,
	// which Listen does not take then. Empty: Listen takes them too.
	CallbacksListen string `koanf:"callbacks_listen"`
	// PublicURL is how browsers, SIEMs and providers reach Listen from outside.
	PublicURL string `koanf:"public_url"`
	// MetricsListen serves Prometheus metrics and health; empty turns it off.
	MetricsListen string `koanf:"metrics_listen"`
	// Organisations is the folder of tenant files.
	Organisations string `koanf:"organisations"`
	// Users and Sources are the files of people who sign in and SIEMs that post.
	// The sender reads of Users who may get test sends, and where.
	Users   string `koanf:"users"`
	Sources string `koanf:"sources"`
	// Database is a PostgreSQL URL; empty means one SQLite file per service in DataDir.
	Database     string   `koanf:"database"`
	DatabaseFile string   `koanf:"database_file"`
	NATS         NATS     `koanf:"nats"`
	Keys         Keys     `koanf:"keys"`
	SendGrid     SendGrid `koanf:"sendgrid"`
	Twilio       Twilio   `koanf:"twilio"`
	SMTP         SMTP     `koanf:"smtp"`
	// SpareSendGrid and SpareTwilio are further accounts, each with a name. They
	// stand in, in this order, while those before them refuse us or do not answer.
	SpareSendGrid []SendGrid `koanf:"spare_sendgrid"`
	SpareTwilio   []Twilio   `koanf:"spare_twilio"`
	// Limits are the most messages a second; a message keeps to all that apply.
	Limits    []Limit   `koanf:"limits"`
	Doubt     Doubt     `koanf:"doubt"`
	Telemetry Telemetry `koanf:"telemetry"`
	// PrintDir is the folder for print files of letters; empty switches post off.
	PrintDir string `koanf:"print_dir"`
	// FaxDir is the folder for files of a fax gateway; empty switches fax off.
	FaxDir string `koanf:"fax_dir"`
	// Mappings is a folder with own alert mappings beside the shipped ones.
	Mappings string `koanf:"mappings"`
	// SandboxListen starts the look-alike providers in this process and sends
	// through them; nothing can reach a real person then.
	SandboxListen string `koanf:"sandbox_listen"`
	// Cooling is how long an order waits before anything leaves.
	Cooling time.Duration `koanf:"cooling"`
}

// NATS says which server to use.
type NATS struct {
	// URL of a cluster; empty means an embedded server in DataDir.
	URL string `koanf:"url"`
	// Listen lets other processes reach the embedded server.
	Listen string `koanf:"listen"`
	// Passwords of the users by service name, plus "admin" where streams are made.
	Passwords map[string]string `koanf:"passwords"`
	// PasswordsFile is a YAML file with the same map.
	PasswordsFile string `koanf:"passwords_file"`
	// Replicas of every stream: 1, or 3 on a cluster.
	Replicas int `koanf:"replicas"`
}

// Keys names key files; empty means one generated in DataDir/keys.
type Keys struct {
	// Approval is the desk's private key for signing approvals.
	Approval string `koanf:"approval"`
	// Keyring holds the public approval keys that the sender trusts.
	Keyring string `koanf:"keyring"`
	// Inventory is scope's root key; Ledger is notice's key for raw receipts.
	Inventory string `koanf:"inventory"`
	Ledger    string `koanf:"ledger"`
	// InventoryVault keeps scope's root keys in HashiCorp Vault instead of a file.
	InventoryVault Vault `koanf:"inventory_vault"`
	// Calendar signs the addresses of the iCalendar feeds.
	Calendar string `koanf:"calendar"`
}

// Vault names a place for keys in the transit engine of HashiCorp Vault. Each
// organisation has a key of its own whose name begins with Key.
type Vault struct {
	Address   string `koanf:"address"`
	TokenFile string `koanf:"token_file"`
	Key       string `koanf:"key"`
}

// SendGrid holds an account.
type SendGrid struct {
	// Name tells accounts apart and is never changed; only spares need one. Their
	// event webhooks go to /v1/receipts/sendgrid/<name>.
	Name       string `koanf:"name"`
	Host       string `koanf:"host"`
	APIKey     string `koanf:"api_key"`
	APIKeyFile string `koanf:"api_key_file"`
	// EventKey is the public key of the event webhook, base64 DER.
	EventKey string `koanf:"event_key"`
	// Subuser sends on behalf of a subuser; IPPool is the pool that mail leaves by.
	Subuser string `koanf:"subuser"`
	IPPool  string `koanf:"ip_pool"`
}

// Limit is the most messages a second of a provider ("sendgrid", "twilio",
// "smtp") or of one of its senders, of an account, or to a mail domain.
type Limit struct {
	Provider string `koanf:"provider"`
	// Sender is a number or an address of the provider's, or empty for all.
	Sender    string  `koanf:"sender"`
	Account   string  `koanf:"account"`
	Domain    string  `koanf:"domain"`
	PerSecond float64 `koanf:"per_second"`
}

// key returns the limit's name among notice's rates.
func (l Limit) key() (string, error) {
	switch {
	case l.PerSecond <= 0:
		return "", fmt.Errorf("per_second is %v; give the most messages a second", l.PerSecond)
	case l.Domain != "" && l.Account == "" && l.Provider == "" && l.Sender == "":
		return "domain/" + strings.ToLower(l.Domain), nil
	case l.Account != "" && l.Domain == "" && l.Provider == "" && l.Sender == "":
		return "account/" + l.Account, nil
	case l.Provider != "" && l.Domain == "" && l.Account == "":
		return strings.TrimSuffix(l.Provider+"/"+l.Sender, "/"), nil
	}
	return "", errors.New("say of what: either provider (with or without sender), account, or domain")
}

// Rates returns the limits as notice takes them.
func (s *Settings) Rates() (map[string]float64, error) {
	all := map[string]float64{}
	for i, l := range s.Limits {
		key, err := l.key()
		if err != nil {
			return nil, fmt.Errorf("limits[%d]: %w", i, err)
		}
		all[key] = l.PerSecond
	}
	return all, nil
}

// SMTP is an own mail server: instead of SendGrid, or in its stead while it
// refuses our account.
type SMTP struct {
	// Host switches it on. Port is 587 when 0, or 465 with tls "implicit".
	Host string `koanf:"host"`
	Port int    `koanf:"port"`
	// TLS is "starttls" (the default), "implicit", "opportunistic" or "none".
	TLS string `koanf:"tls"`
	// Auth is "none", "plain", "login", "cram-md5", "scram-sha-256" or "auto".
	Auth         string `koanf:"auth"`
	Username     string `koanf:"username"`
	Password     string `koanf:"password"`
	PasswordFile string `koanf:"password_file"`
	// EHLO is the name by which Tocsin greets; the host's own when empty.
	EHLO string `koanf:"ehlo"`
	// Conns is the most connections (default 4).
	Conns int `koanf:"conns"`
	// ReturnPath is where undeliverable mail comes back to, such as
	// bounces@example.org; its server must deliver bounces+anything@ to the same
	// place. Empty: to the sender.
	ReturnPath string `koanf:"return_path"`
	// BounceToken lets the mail server post what came back to /v1/receipts/smtp,
	// as tocsin notice bounce does; empty refuses all.
	BounceToken     string `koanf:"bounce_token"`
	BounceTokenFile string `koanf:"bounce_token_file"`
}

// Twilio holds an account.
type Twilio struct {
	// Name: see SendGrid. Sender is an account's own number or Messaging Service;
	// the organisation's when empty.
	Name          string `koanf:"name"`
	Sender        string `koanf:"sender"`
	Host          string `koanf:"host"`
	AccountSID    string `koanf:"account_sid"`
	AuthToken     string `koanf:"auth_token"`
	AuthTokenFile string `koanf:"auth_token_file"`
	// Conns is the most connections (default 32).
	Conns int `koanf:"conns"`
}

// Doubt is the policy for messages whose acceptance is unknown. Zero values
// take the defaults of package notice.
type Doubt struct {
	// Quiet is how long receipts alone may settle a doubt (default 5 m); After is
	// when the policy decides (default 30 m), counted from the request.
	Quiet time.Duration `koanf:"quiet"`
	After time.Duration `koanf:"after"`
	// Freeze is how long receipts that do not arrive may hold the policy up (default 6 h).
	Freeze time.Duration `koanf:"freeze"`
	// Policy is what becomes of a doubt that no evidence settles, where the
	// organisation says nothing: "resend" (the default), "hold" or "cancel".
	Policy string `koanf:"policy"`
	// Ahead is how long email is held back under "cancel" (default 15 m, the least).
	Ahead time.Duration `koanf:"ahead"`
	// Budget is the share of a plan in doubt beyond which the sending stops
	// (default 0.005); 1 switches it off.
	Budget float64 `koanf:"budget"`
}

// leastAhead is the least time for which a mail is held back: SendGrid promises
// to cancel until ten minutes before, and a doubt must be noticed first.
const leastAhead = 15 * time.Minute

// Telemetry says where traces, metrics and logs go.
type Telemetry struct {
	OTLPEndpoint string `koanf:"otlp_endpoint"`
	// LogFormat is "text" or "json"; LogLevel is "debug", "info", "warn" or "error".
	LogFormat string `koanf:"log_format"`
	LogLevel  string `koanf:"log_level"`
}

// foreign are variables with our prefix that are not settings.
var foreign = []string{"TOCSIN_SERVER", "TOCSIN_TOKEN", "TOCSIN_TOKEN_FILE", "TOCSIN_TEST_POSTGRES", "TOCSIN_TEST_MYSQL", "TOCSIN_KEYRING"}

// Load returns the defaults, overruled by a file, if one is named, and by the
// environment.
func Load(file string) (Settings, error) {
	return config.Load(Defaults(), config.Source{File: file, Env: os.Environ(), Foreign: foreign})
}

// Defaults are the settings of an installation that sets nothing.
func Defaults() Settings {
	return Settings{
		DataDir: "data", Listen: "127.0.0.1:8420", Organisations: "organisations", Users: "users.yaml", Sources: "sources.yaml",
		NATS: NATS{Replicas: 1}, Telemetry: Telemetry{LogFormat: "text", LogLevel: "info"}, Cooling: time.Minute,
		SendGrid: SendGrid{Host: "https://api.sendgrid.com"}, Twilio: Twilio{Host: "https://api.twilio.com"},
	}
}

// Validate checks what can be checked without starting anything.
func (s *Settings) Validate() error {
	for _, name := range s.Services {
		if !slices.Contains(event.Services(), name) {
			return fmt.Errorf("services: there is no service %q; choose from %v", name, event.Services())
		}
	}
	if len(s.Services) == 0 {
		s.Services = event.Services()
	}
	if s.NATS.URL != "" && len(s.NATS.Passwords) == 0 {
		return fmt.Errorf("nats.passwords: a password for each service of this process is needed to reach %s", s.NATS.URL)
	}
	if s.NATS.Replicas != 1 && s.NATS.Replicas != 3 && s.NATS.Replicas != 5 {
		return fmt.Errorf("nats.replicas: %d is not 1, 3 or 5", s.NATS.Replicas)
	}
	if p := s.Doubt.Policy; p != "" && !slices.Contains(organisation.Policies(), p) {
		return fmt.Errorf("doubt.policy: %q is none of %v", p, organisation.Policies())
	}
	if a := s.Doubt.Ahead; a != 0 && (a < leastAhead || a > sendgrid.MaxAhead) {
		return fmt.Errorf("doubt.ahead: %v is not between %v and %v", a, leastAhead, sendgrid.MaxAhead)
	}
	_, err := s.Rates()
	return err
}

// database returns the URL of a service's own store.
func (s *Settings) database(service string) string {
	if s.Database != "" {
		return s.Database
	}
	return "sqlite:" + filepath.Join(s.DataDir, service+".db")
}

// Key returns the path of a key file: as set, or of that name among the
// generated ones.
func (s *Settings) Key(set, name string) string {
	if set != "" {
		return set
	}
	return filepath.Join(s.DataDir, "keys", name)
}
