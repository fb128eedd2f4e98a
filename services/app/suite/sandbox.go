package suite

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
	"tocsin.dev/services/app"
	"tocsin.dev/services/sandbox"
)

// addSandbox runs the look-alike providers in this process.
func (w *suite) addSandbox(ctx context.Context, a *app.App) (err error) {
	set := &a.Settings
	if w.sandboxes, err = web.Listen(ctx, set.SandboxListen); err != nil {
		return err
	}
	w.running.SandboxURL = "http://" + w.sandboxes.Addr().String()
	a.Add(process.Part{
		Name: "sandbox",
		Start: func(context.Context) (err error) {
			if err = drawAccount(set); err != nil {
				return err
			}
			w.running.Sandbox, err = newSandbox(*set, a.CallbackURL, canariesOf(a.Orgs), a.Now, a.Log)
			if err != nil {
				return err
			}
			set.SendGrid.Host, set.SendGrid.EventKey, set.Twilio.Host = w.running.SandboxURL, w.running.Sandbox.PublicKey(), w.running.SandboxURL
			return nil
		},
		Run: func(ctx context.Context) error { return w.running.Sandbox.Run(ctx) },
	})
	a.Add(process.Part{Name: "sandbox http", Run: func(ctx context.Context) error {
		return web.Serve(ctx, w.sandboxes, w.running.Sandbox.Handler(), a.Log)
	}})
	return nil
}

// drawAccount draws an account for this run. Whatever account the operator
// configured is not used: with a sandbox, nothing real is reachable.
func drawAccount(s *app.Settings) error {
	secrets := make([]byte, 48)
	if _, err := rand.Read(secrets); err != nil {
		return fmt.Errorf("draw sandbox accounts: %w", err)
	}
	s.SendGrid.APIKey = "SG." + hex.EncodeToString(secrets[:16])
	s.Twilio.AccountSID = "AC" + hex.EncodeToString(secrets[16:32])
	s.Twilio.AuthToken = hex.EncodeToString(secrets[32:])
	s.SMTP, s.SpareSendGrid, s.SpareTwilio = app.SMTP{}, nil, nil
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

func newSandbox(s app.Settings, publicURL string, canaries []string, now func() time.Time, log *slog.Logger) (*sandbox.Service, error) {
	key, err := sandboxKey(filepath.Join(s.DataDir, "keys", "sandbox.key"))
	if err != nil {
		return nil, err
	}
	return sandbox.New(sandbox.Config{
		Now: now, Log: log, SigningKey: key, SendGridKey: s.SendGrid.APIKey,
		TwilioAccountSID: s.Twilio.AccountSID, TwilioAuthToken: s.Twilio.AuthToken,
		EventWebhookURL: publicURL + "/v1/receipts/sendgrid", EventStreamURL: publicURL + "/v1/receipts/twilio/events", Canaries: canaries,
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
func RunSandbox(ctx context.Context, s app.Settings, log *slog.Logger, ready func(url, publicKey string)) error {
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
