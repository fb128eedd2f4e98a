package suite

import (
	"errors"
	"io/fs"
	"time"

	"tocsin.dev/pkg/seal"
	"tocsin.dev/services/app"
)

// approvalKey returns the desk's signing key. In one process the first start
// makes it together with the keyring that the sender trusts; an operator who
// separates the services gives each its own file.
func approvalKey(a *app.App) (*seal.Signer, error) {
	path := a.Settings.Key(a.Settings.Keys.Approval, "approval.key")
	signer, err := seal.LoadSigner(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || a.Settings.Keys.Approval != "" {
		return signer, err
	}
	return makeApprovalKey(path, a.Settings.Key(a.Settings.Keys.Keyring, "keyring.yaml"), "desk", a.Now())
}

// makeApprovalKey makes a signing key at path and writes the keyring that
// trusts it from now on.
func makeApprovalKey(path, keyring, holder string, now time.Time) (*seal.Signer, error) {
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
