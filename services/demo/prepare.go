package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/pkg/person"
	"tocsin.dev/services/app"
	"tocsin.dev/services/desk"
	"tocsin.dev/services/desk/api/client"
	"tocsin.dev/services/intake"
	"tocsin.dev/services/samples"
)

// Installation is a prepared folder and, once it runs, its addresses.
type Installation struct {
	Dir string
	// URL and SandboxURL are set by Started.
	URL, SandboxURL string
	HTTP            *http.Client
	Now             func() time.Time

	secrets map[string]Secrets
	sources map[string]string
}

// Secrets are how one user signs in.
type Secrets struct {
	Password string `json:"password"`
	Token    string `json:"token"`
}

// Roles are the sign-ins that every sample organisation gets.
var Roles = []string{"analyst", "legal", "dpo", "admin"}

// Prepare writes a folder for the sample organisations: tenant files, users
// and SIEM sources with fresh secrets. It refuses a folder that holds one already.
func Prepare(dir string, now func() time.Time) (*Installation, error) {
	in := &Installation{Dir: dir, Now: now, HTTP: &http.Client{Timeout: 30 * time.Second}, secrets: map[string]Secrets{}, sources: map[string]string{}}
	if err := os.CopyFS(filepath.Join(dir, "organisations"), samples.Files()); err != nil {
		return nil, fmt.Errorf("prepare the demo in %s: %w", dir, err)
	}
	orgs := Organisations()
	if err := in.writeUsers(orgs); err != nil {
		return nil, err
	}
	return in, in.writeSources(orgs)
}

// Organisations are the ids of the five sample organisations.
func Organisations() []string {
	all, err := samples.Organisations()
	if err != nil {
		return nil // the samples' own test loads them
	}
	var ids []string
	for _, o := range all.All() {
		ids = append(ids, o.ID)
	}
	return ids
}

// WriteSecrets writes every sign-in as JSON, readable by the owner only.
func (in *Installation) WriteSecrets(path string) error {
	data, err := json.MarshalIndent(map[string]any{"url": in.URL, "sandbox_url": in.SandboxURL, "users": in.secrets, "sources": in.sources}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// Settings are those of the prepared folder, on free ports of this machine.
func (in *Installation) Settings() app.Settings {
	s := app.Defaults()
	s.DataDir, s.Listen, s.SandboxListen = in.Dir, "127.0.0.1:0", "127.0.0.1:0"
	s.Organisations = filepath.Join(in.Dir, "organisations")
	s.Users, s.Sources = filepath.Join(in.Dir, "users.yaml"), filepath.Join(in.Dir, "sources.yaml")
	s.Cooling = 0
	s.Telemetry.LogLevel = "warn"
	return s
}

// UserID names the user of an organisation with a role.
func UserID(org, role string) string { return org + "-" + role }

// Secrets returns how a user signs in.
func (in *Installation) Secrets(org, role string) Secrets { return in.secrets[UserID(org, role)] }

// SourceToken returns the bearer token of a SIEM source.
func (in *Installation) SourceToken(source string) string { return in.sources[source] }

// Client returns an API client of a user.
func (in *Installation) Client(org, role string) *client.ClientWithResponses {
	token := in.Secrets(org, role).Token
	c, err := client.NewClientWithResponses(in.URL, client.WithHTTPClient(in.HTTP), client.WithRequestEditorFn(
		func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	if err != nil {
		panic(err) // the options above cannot fail
	}
	return c
}

func (in *Installation) writeUsers(orgs []string) error {
	var file struct {
		Users []desk.User `yaml:"users"`
	}
	for _, org := range orgs {
		for _, role := range Roles {
			id := UserID(org, role)
			secret := Secrets{Password: secret(9), Token: secret(24)}
			hash, err := desk.HashPassword(secret.Password)
			if err != nil {
				return err
			}
			in.secrets[id] = secret
			file.Users = append(file.Users, desk.User{
				ID: id, Name: strings.ToUpper(role[:1]) + role[1:] + " of " + org, Org: org, Roles: []desk.Role{desk.Role(role)},
				Email: person.Email(id + "@" + org + ".example.test"), Phone: person.Phone(fmt.Sprintf("+4477009005%02d", len(file.Users))),
				Reads: []string{"en", "sv"}, Installation: role == "admin", Password: hash, TokenSHA256: desk.HashToken(secret.Token),
			})
		}
	}
	return writeYAML(filepath.Join(in.Dir, "users.yaml"), file)
}

func secret(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails, by its documentation
	return hex.EncodeToString(b)
}

func writeYAML(path string, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.WriteFile(path, data, 0o600)
}

// writeSources gives every organisation a Wazuh and a Splunk that prove
// themselves by a bearer token.
func (in *Installation) writeSources(orgs []string) error {
	var file struct {
		Sources []intake.Source `yaml:"sources"`
	}
	for _, org := range orgs {
		for _, siem := range []string{"wazuh", "splunk"} {
			id, token := org+"-"+siem, secret(24)
			in.sources[id] = token
			file.Sources = append(file.Sources, intake.Source{
				ID: id, Org: org, Mapping: siem, Scheme: intake.SchemeBearer, Tokens: []string{"sha256:" + desk.HashToken(token)}, SilentAfterHours: 24,
			})
		}
	}
	return writeYAML(filepath.Join(in.Dir, "sources.yaml"), file)
}
