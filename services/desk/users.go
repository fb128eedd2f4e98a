package desk

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/language"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// Role is what a person may do within an organisation.
type Role string

// The four roles.
const (
	Analyst Role = "analyst"
	Legal   Role = "legal"
	DPO     Role = "dpo"
	Admin   Role = "admin"
)

// User is a person who signs in. Users belong to one organisation.
type User struct {
	// ID names the person in the journal; it is a token of the bus, never a name or an address.
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
	// Org is the id of the organisation.
	Org   string `yaml:"organisation"`
	Roles []Role `yaml:"roles"`
	// Reads are the BCP 47 tags of the languages the person is able to read.
	Reads []string `yaml:"reads"`
	// ApprovesUntil ends the person's right to approve; zero is no end. No yes of
	// theirs stands longer.
	ApprovesUntil time.Time `yaml:"approves_until,omitempty"`
	// Email and Phone (E.164) are where test sends reach the person; without one
	// there is none by that channel.
	Email person.Email `yaml:"email,omitempty"`
	Phone person.Phone `yaml:"phone,omitempty"`
	// Password is an argon2id hash in PHC form, as HashPassword writes it; empty: no sign-in by password.
	Password string `yaml:"password"`
	// TokenSHA256 is the hex SHA-256 of the API token, as HashToken writes it; empty: no token.
	TokenSHA256 string `yaml:"token_sha256"`
	// Installation lets an admin see what belongs to no single organisation, such as every dead letter.
	Installation bool `yaml:"installation"`
}

// Has reports whether the user has one of the roles.
func (u User) Has(roles ...Role) bool {
	_, ok := u.as(roles)
	return ok
}

// as returns the first of the roles that the user has.
func (u User) as(roles []Role) (Role, bool) {
	for _, r := range roles {
		if slices.Contains(u.Roles, r) {
			return r, true
		}
	}
	return "", false
}

// CanRead reports whether the user reads a language; a reader of "en" reads "en-GB".
func (u User) CanRead(tag string) bool {
	want, _ := language.Make(tag).Base()
	for _, r := range u.Reads {
		if have, _ := language.Make(r).Base(); have == want {
			return true
		}
	}
	return false
}

// Users are the people of an installation, read once at start.
type Users struct {
	byID    map[string]User
	byToken map[string]User
}

// maxUsers is the largest users file that ReadUsers takes, in bytes.
const maxUsers = 8 << 20

// LoadUsers reads the users file at path.
func LoadUsers(path string) (*Users, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open users file: %w", err)
	}
	defer f.Close()
	u, err := ReadUsers(f)
	if err != nil {
		return nil, fmt.Errorf("users file %s: %w", path, err)
	}
	return u, nil
}

// ReadUsers reads users as YAML: a list under "users". Errors name the user and what to do.
func ReadUsers(r io.Reader) (*Users, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxUsers+1))
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	if len(data) > maxUsers {
		return nil, fmt.Errorf("more than %d bytes", maxUsers)
	}
	var file struct {
		Users []User `yaml:"users"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		return nil, err
	}
	return NewUsers(file.Users)
}

// NewUsers checks users and makes them known by id and by token.
func NewUsers(list []User) (*Users, error) {
	u := &Users{byID: map[string]User{}, byToken: map[string]User{}}
	for i, user := range list {
		if err := user.validate(); err != nil {
			return nil, fmt.Errorf("users[%d] %q: %w", i, user.ID, err)
		}
		if _, taken := u.byID[user.ID]; taken {
			return nil, fmt.Errorf("users[%d]: id %q is used twice", i, user.ID)
		}
		u.byID[user.ID] = user
		if user.TokenSHA256 == "" {
			continue
		}
		if other, taken := u.byToken[user.TokenSHA256]; taken {
			return nil, fmt.Errorf("users[%d] %q: has the API token of %q; give each person a token of their own", i, user.ID, other.ID)
		}
		u.byToken[user.TokenSHA256] = user
	}
	return u, nil
}

func (u User) validate() error {
	switch {
	case !event.ValidToken(u.ID):
		return errors.New("id must be 1 to 64 lower-case letters, digits, '-' or '_'")
	case u.Name == "":
		return errors.New("name is missing")
	case !event.ValidToken(u.Org):
		return errors.New("organisation is missing or not an organisation's id")
	case u.Email != "" && !u.Email.Valid():
		return errors.New("email is not an email address")
	case u.Phone != "" && !u.Phone.Valid():
		return errors.New("phone is not a number such as +447700900123")
	case len(u.Roles) == 0:
		return errors.New("roles is missing: give analyst, legal, dpo or admin")
	}
	for _, r := range u.Roles {
		if !slices.Contains([]Role{Analyst, Legal, DPO, Admin}, r) {
			return fmt.Errorf("role %q is none of analyst, legal, dpo, admin", r)
		}
	}
	for _, tag := range u.Reads {
		if _, err := language.Parse(tag); err != nil {
			return fmt.Errorf("reads: %q is not a BCP 47 tag such as en-GB", tag)
		}
	}
	if u.Password != "" {
		if _, err := parseHash(u.Password); err != nil {
			return fmt.Errorf("password: %w", err)
		}
	}
	if b, err := hex.DecodeString(u.TokenSHA256); err != nil || (len(b) != sha256.Size && len(b) != 0) {
		return errors.New("token_sha256 must be 64 hexadecimal digits")
	}
	return nil
}

// Get returns the user with the id.
func (u *Users) Get(id string) (User, bool) {
	user, ok := u.byID[id]
	return user, ok
}

// All returns every user in order of the id.
func (u *Users) All() []User {
	all := make([]User, 0, len(u.byID))
	for _, user := range u.byID {
		all = append(all, user)
	}
	slices.SortFunc(all, func(a, b User) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// ByToken returns the user whose API token it is. The lookup is by digest, so
// its time tells nothing about the token.
func (u *Users) ByToken(token string) (User, bool) {
	user, ok := u.byToken[HashToken(token)]
	return user, ok
}

// HashToken returns the hex SHA-256 of an API token. Tokens are long and
// random, so a slow hash would add nothing.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Parameters of argon2id as OWASP's password storage sheet recommends: 19 MiB, two passes.
const (
	hashMemory  = 19 * 1024
	hashPasses  = 2
	hashThreads = 1
	hashSize    = 32
	// MinPassword is the shortest password that HashPassword takes, in bytes.
	MinPassword = 12
	maxPassword = 200
)

// HashPassword returns the argon2id hash of a password in PHC form.
func HashPassword(password string) (string, error) {
	if len(password) < MinPassword || len(password) > maxPassword {
		return "", fmt.Errorf("a password has %d to %d bytes", MinPassword, maxPassword)
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	key := argon2.IDKey([]byte(password), salt, hashPasses, hashMemory, hashThreads, hashSize)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		hashMemory, hashPasses, hashThreads, b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

type passwordHash struct {
	memory, passes uint32
	threads        uint8
	salt, key      []byte
}

func parseHash(s string) (passwordHash, error) {
	var h passwordHash
	bad := errors.New("want an argon2id hash in PHC form, as `tocsin user hash` writes it")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil {
		return h, bad
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.key) < 16 || h.memory > 1<<20 || h.passes > 100 || h.passes == 0 || h.threads == 0 {
		return h, bad
	}
	return h, nil
}

// matches compares in constant time.
func (h passwordHash) matches(password string) bool {
	key := argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}
