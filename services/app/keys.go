package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"tocsin.dev/pkg/seal"
)

// secretKey reads a file of 32 random bytes in hex, and makes it, readable by
// its owner only, if it does not exist.
func secretKey(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSecretKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("key file %s does not hold 32 bytes in hex", path)
	}
	return key, nil
}

func newSecretKey(path string) ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	return key, seal.WriteSecret(path, []byte(hex.EncodeToString(key)+"\n"))
}

// approvalKey returns the desk's signing key. In one process the first start
// makes it together with the keyring that the sender trusts; an operator who
// separates the services gives each its own file.
func (a *app) approvalKey() (*seal.Signer, error) {
	path := a.key(a.Keys.Approval, "approval.key")
	signer, err := seal.LoadSigner(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || a.Keys.Approval != "" {
		return signer, err
	}
	return MakeApprovalKey(path, a.key(a.Keys.Keyring, "keyring.yaml"), "desk", a.now())
}

// secure reports whether browsers reach the console by HTTPS.
func (a *app) secure() bool { return strings.HasPrefix(a.PublicURL, "https://") }

// MakeApprovalKey makes a signing key at path and writes the keyring that
// trusts it from now on.
func MakeApprovalKey(path, keyring, holder string, now time.Time) (*seal.Signer, error) {
	signer, err := seal.Generate()
	if err != nil {
		return nil, err
	}
	if err := seal.SaveSigner(path, signer); err != nil {
		return nil, err
	}
	ring, err := seal.NewKeyring(seal.Trust(signer.Public(), holder, now))
	if err != nil {
		return nil, err
	}
	return signer, ring.Save(keyring)
}
