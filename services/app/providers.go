package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/process"
	"tocsin.dev/pkg/seal"
	"tocsin.dev/pkg/web"
	"tocsin.dev/services/sandbox"
)

// addSandbox runs the look-alike providers in this process.
func (a *app) addSandbox() {
	if a.sandboxes == nil {
		return
	}
	a.parts.Add(process.Part{
		Name: "sandbox",
		Start: func(context.Context) (err error) {
			if err = a.sandboxAccount(); err != nil {
				return err
			}
			a.running.Sandbox, err = newSandbox(a.Settings, a.running.URL, canariesOf(a.orgs), a.now, a.log)
			if err != nil {
				return err
			}
			a.SendGrid.Host, a.SendGrid.EventKey, a.Twilio.Host = a.running.SandboxURL, a.running.Sandbox.PublicKey(), a.running.SandboxURL
			return nil
		},
		Run: func(ctx context.Context) error { return a.running.Sandbox.Run(ctx) },
	})
	a.parts.Add(process.Part{Name: "sandbox http", Run: func(ctx context.Context) error {
		return web.Serve(ctx, a.sandboxes, a.running.Sandbox.Handler(), a.log)
	}})
}

// sandboxAccount draws an account for this run. Whatever account the operator
// configured is not used: with a sandbox, nothing real is reachable.
func (a *app) sandboxAccount() error {
	secrets := make([]byte, 48)
	if _, err := rand.Read(secrets); err != nil {
		return fmt.Errorf("draw sandbox accounts: %w", err)
	}
	a.SendGrid.APIKey = "SG." + hex.EncodeToString(secrets[:16])
	a.Twilio.AccountSID = "AC" + hex.EncodeToString(secrets[16:32])
	a.Twilio.AuthToken = hex.EncodeToString(secrets[32:])
	a.SMTP, a.SpareSendGrid, a.SpareTwilio = SMTP{}, nil, nil
	return nil
}

// canariesOf lists the addresses at which organisations have canaries of their own.
func canariesOf(orgs *organisation.Registry) (all []string) {
	for _, o := range orgs.All() {
		for _, c := range o.Canaries {
			all = append(all, c.Email.Reveal(), c.Phone.Reveal())
		}
	}
	return all
}

func newSandbox(s Settings, publicURL string, canaries []string, now func() time.Time, log *slog.Logger) (*sandbox.Service, error) {
	key, err := sandboxKey(filepath.Join(s.DataDir, "keys", "sandbox.key"))
	if err != nil {
		return nil, err
	}
	return sandbox.New(sandbox.Config{
		Now: now, Log: log, SigningKey: key, SendGridKey: s.SendGrid.APIKey,
		TwilioAccountSID: s.Twilio.AccountSID, TwilioAuthToken: s.Twilio.AuthToken,
		EventWebhookURL: publicURL + "/v1/receipts/sendgrid", Canaries: canaries,
	})
}

// sandboxKey reads the key that signs the look-alike event webhook, and makes
// it at the first start, so that its public half can be configured like a vendor's.
func sandboxKey(path string) (*ecdsa.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSandboxKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the sandbox key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("the sandbox key %s is not PEM", path)
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

func newSandboxKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the sandbox key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the sandbox key: %w", err)
	}
	return key, seal.WriteSecret(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// RunSandbox runs the look-alike providers alone, with the accounts of the
// settings, until ctx ends. It knows the canaries of the organisations there are
// in the folder, which count as nobody. Ready gets its address and the public key of its
// event webhook.
func RunSandbox(ctx context.Context, s Settings, log *slog.Logger, ready func(url, publicKey string)) error {
	ln, err := web.Listen(ctx, s.SandboxListen)
	if err != nil {
		return err
	}
	// An empty or missing folder has no canaries.
	orgs, err := organisation.Load(os.DirFS(s.Organisations))
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	sb, err := newSandbox(s, s.PublicURL, canariesOf(orgs), time.Now, log)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	parts := process.Group{Log: log}
	parts.Add(process.Part{Name: "sandbox", Run: sb.Run})
	parts.Add(process.Part{Name: "sandbox http", Run: func(ctx context.Context) error { return web.Serve(ctx, ln, sb.Handler(), log) }})
	return parts.Run(ctx, func() { ready("http://"+ln.Addr().String(), sb.PublicKey()) })
}
