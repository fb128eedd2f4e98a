package seal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"tocsin.dev/pkg/event"
)

// Why a signature does not count. Callers branch on these.
var (
	// ErrUnknownKey means that the keyring does not name the key.
	ErrUnknownKey = errors.New("the signing key is not in the keyring")
	// ErrBadSignature means that the key did not sign this digest.
	ErrBadSignature = errors.New("the signature does not fit the digest")
	// ErrRevoked means that the key was revoked at or before the instant.
	ErrRevoked = errors.New("the signing key is revoked")
	// ErrNotValid means that the instant is outside of the key's validity.
	ErrNotValid = errors.New("the signing key is not valid at this time")
)

// Entry is one trusted key of a keyring file.
type Entry struct {
	ID string `yaml:"id"`
	// Public is the 32-byte Ed25519 public key in standard base64.
	Public string `yaml:"public"`
	// Holder says whose key it is, for people.
	Holder string `yaml:"holder,omitempty"`
	// ValidFrom is inclusive and ValidUntil exclusive; zero means unbounded.
	ValidFrom  time.Time `yaml:"valid_from,omitempty"`
	ValidUntil time.Time `yaml:"valid_until,omitempty"`
	// RevokedAt ends the trust for good; what was signed before no longer
	// counts either once the instant has come.
	RevokedAt time.Time `yaml:"revoked_at,omitempty"`
	// Reason says why the key was revoked.
	Reason string `yaml:"reason,omitempty"`

	key ed25519.PublicKey
}

// Trust returns the entry that trusts a public key from an instant on.
func Trust(key PublicKey, holder string, from time.Time) Entry {
	return Entry{ID: key.ID, Public: base64.StdEncoding.EncodeToString(key.Key), Holder: holder, ValidFrom: from.UTC()}
}

// Keyring is a set of trusted public keys. It does not change once made and is
// safe for concurrent use.
type Keyring struct{ entries map[string]Entry }

// keyringFile is the file's layout.
type keyringFile struct {
	Keys []Entry `yaml:"keys"`
}

// NewKeyring checks the entries and returns the keyring of them.
func NewKeyring(entries ...Entry) (*Keyring, error) {
	k := &Keyring{entries: make(map[string]Entry, len(entries))}
	for i, e := range entries {
		key, err := base64.StdEncoding.Strict().DecodeString(e.Public)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("keys[%d] %s: public is not a 32-byte Ed25519 key in base64", i, e.ID)
		}
		if id := keyID(key); id != e.ID {
			return nil, fmt.Errorf("keys[%d]: id is %q and the public key's own id is %s", i, e.ID, id)
		}
		if _, double := k.entries[e.ID]; double {
			return nil, fmt.Errorf("keys[%d]: %s is listed twice; one entry says whether it counts", i, e.ID)
		}
		if !e.ValidUntil.IsZero() && !e.ValidFrom.Before(e.ValidUntil) {
			return nil, fmt.Errorf("keys[%d] %s: valid_until is not after valid_from", i, e.ID)
		}
		e.key = key
		k.entries[e.ID] = e
	}
	return k, nil
}

// LoadKeyring reads the YAML file of trusted public keys: a list «keys» of
// id, public, holder, valid_from, valid_until, revoked_at, reason. An unknown
// field is an error: a misspelt revoked_at must not go unseen.
func LoadKeyring(path string) (*Keyring, error) {
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("load keyring: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var file keyringFile
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("load keyring %s: %w", path, err)
	}
	if len(file.Keys) == 0 {
		return nil, fmt.Errorf("load keyring %s: it names no key under «keys»", path)
	}
	k, err := NewKeyring(file.Keys...)
	if err != nil {
		return nil, fmt.Errorf("load keyring %s: %w", path, err)
	}
	return k, nil
}

// Save writes the keyring in the layout that LoadKeyring reads, replacing the
// file in one step.
func (k *Keyring) Save(path string) error {
	var file keyringFile
	for _, e := range k.entries {
		file.Keys = append(file.Keys, e)
	}
	slices.SortFunc(file.Keys, func(a, b Entry) int { return a.ValidFrom.Compare(b.ValidFrom) })
	text, err := yaml.Marshal(file)
	if err != nil {
		return fmt.Errorf("save keyring %s: %w", path, err)
	}
	next := filepath.Clean(path) + ".new"
	if err := os.WriteFile(next, text, 0o644); err != nil { //nolint:gosec // public keys
		return fmt.Errorf("save keyring: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("save keyring: %w", err)
	}
	return nil
}

// Verify says whether sig is a signature over digest by a key that is trusted
// at the instant at. Whoever acts on a signature passes the present instant,
// so that a revoked key authorises nothing any more; an auditor passes the
// instant that is examined. The caller computes digest itself.
func (k *Keyring) Verify(digest string, sig event.Signature, at time.Time) error {
	e, ok := k.entries[sig.Key]
	if !ok {
		return fmt.Errorf("%w: %q", ErrUnknownKey, sig.Key)
	}
	value, err := base64.StdEncoding.Strict().DecodeString(sig.Value)
	// Go's decoder skips line breaks; a signature has one spelling here.
	if err != nil || base64.StdEncoding.EncodeToString(value) != sig.Value {
		return fmt.Errorf("%w: it is not base64", ErrBadSignature)
	}
	if !wellFormed(digest) || !ed25519.Verify(e.key, []byte(purpose+digest), value) {
		return fmt.Errorf("%w (key %s)", ErrBadSignature, e.ID)
	}
	switch {
	case !e.RevokedAt.IsZero() && !at.Before(e.RevokedAt):
		return fmt.Errorf("%w: %s since %s: %s", ErrRevoked, e.ID, e.RevokedAt.Format(time.RFC3339), e.Reason)
	case !e.ValidFrom.IsZero() && at.Before(e.ValidFrom):
		return fmt.Errorf("%w: %s counts from %s", ErrNotValid, e.ID, e.ValidFrom.Format(time.RFC3339))
	case !e.ValidUntil.IsZero() && !at.Before(e.ValidUntil):
		return fmt.Errorf("%w: %s counted until %s", ErrNotValid, e.ID, e.ValidUntil.Format(time.RFC3339))
	}
	return nil
}
