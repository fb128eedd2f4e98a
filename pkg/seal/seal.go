package seal

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tocsin.dev/pkg/event"
)

// purpose keeps a signature of this package from being taken for any other
// statement made with the same key.
const purpose = "tocsin.dev/pkg/seal/v1\x00"

// PublicKey is what a verifier needs to know of a Signer.
type PublicKey struct {
	// ID is derived from the key: "ed25519:" and 16 hexadecimal digits.
	ID  string
	Key ed25519.PublicKey
}

// Signer signs digests with one private key. It prints only its public id.
type Signer struct {
	private ed25519.PrivateKey
	public  PublicKey
}

// Generate makes a signer with a fresh key.
func Generate() (*Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a signing key: %w", err)
	}
	return newSigner(private), nil
}

func newSigner(private ed25519.PrivateKey) *Signer {
	public, _ := private.Public().(ed25519.PublicKey) // always this type
	return &Signer{private: private, public: PublicKey{ID: keyID(public), Key: public}}
}

func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return "ed25519:" + hex.EncodeToString(sum[:8])
}

// String returns the public id, so that a signer can be logged safely.
func (s *Signer) String() string { return s.public.ID }

// GoString keeps %#v from printing the private key.
func (s *Signer) GoString() string { return s.public.ID }

// Public returns the public half.
func (s *Signer) Public() PublicKey { return s.public }

// Sign signs a digest made by Digest.
func (s *Signer) Sign(digest string) event.Signature {
	value := ed25519.Sign(s.private, []byte(purpose+digest))
	return event.Signature{Key: s.public.ID, Value: base64.StdEncoding.EncodeToString(value)}
}

// SaveSigner writes the private key to a new file as PKCS #8 in PEM, readable
// by its owner only. It never overwrites a file: losing a key would void every
// approval made with it.
func SaveSigner(path string, s *Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(s.private)
	if err != nil {
		return fmt.Errorf("save signing key %s: %w", path, err)
	}
	if err := WriteSecret(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return fmt.Errorf("save signing key: %w", err)
	}
	return nil
}

// WriteSecret makes a file, readable by its owner only, and the folders above
// it where they are missing. It is on the disk when WriteSecret returns. A file
// that exists is an error and stays as it is.
func WriteSecret(path string, secret []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make a folder for secrets: %w", err)
	}
	f, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make a secret file: %w", err)
	}
	_, err = f.Write(secret)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write secret file %s: %w", path, err)
	}
	return nil
}

// LoadSigner reads a key written by SaveSigner or by
// «openssl genpkey -algorithm ed25519».
func LoadSigner(path string) (*Signer, error) {
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("load signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("load signing key %s: not a PEM file with a PRIVATE KEY", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("load signing key %s: %w", path, err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("load signing key %s: it is a %T and not Ed25519", path, key)
	}
	return newSigner(private), nil
}

// wellFormed reports whether digest is one that Digest could have made.
func wellFormed(digest string) bool {
	digits, ok := strings.CutPrefix(digest, prefix)
	return ok && len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == ""
}
