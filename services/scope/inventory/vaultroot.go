package inventory

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// Vault says where the root keys lie in the transit engine of HashiCorp Vault
// or OpenBao. The token may create keys under the name and encrypt, decrypt,
// rotate, configure and trim them.
type Vault struct {
	// Address of the server with its scheme, such as https://vault.example.org:8200.
	Address string
	// TokenFile holds the token; it is read at every request, as agents renew it.
	TokenFile string
	// Key begins the name of the keys: each organisation has <Key>-<organisation>.
	Key string
	// Mount of the engine; the default is transit.
	Mount string
	// Client is for tests and private authorities; the default gives up after ten seconds.
	Client *http.Client
}

// VaultRoot keeps root keys in Vault: they never leave it. Version n of a root
// key is version n of the transit key. Destroying a version raises the least
// version that may be used and trims the key, which removes the older ones from
// Vault's own storage. Vault must be backed up apart from the database, and
// such backups must be kept no longer than erased people may be readable.
type VaultRoot struct {
	cfg Vault
	mu  sync.Mutex // making and rotating keys are several requests
}

const vaultTimeout = 10 * time.Second

// OpenVaultRoot checks the settings; the server is asked at the first use.
func OpenVaultRoot(cfg Vault) (*VaultRoot, error) {
	u, err := url.Parse(cfg.Address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, errors.New("vault: the address is not a URL such as https://vault.example.org:8200")
	}
	if cfg.TokenFile == "" || cfg.Key == "" {
		return nil, errors.New("vault: a token file and the name of the key are needed")
	}
	cfg.Address = strings.TrimSuffix(cfg.Address, "/")
	if cfg.Mount == "" {
		cfg.Mount = "transit"
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: vaultTimeout}
	}
	return &VaultRoot{cfg: cfg}, nil
}

// vaultKey is the state of a transit key.
type vaultKey struct {
	Latest    uint32 `json:"latest_version"`
	Least     uint32 `json:"min_decryption_version"`
	Available uint32 `json:"min_available_version"`
}

func (k vaultKey) destroyed(version uint32) bool { return version < max(k.Least, k.Available) }

// Seal implements Root.
func (r *VaultRoot) Seal(ctx context.Context, org string, version uint32, plaintext []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := r.reach(ctx, org, version)
	if err != nil {
		return nil, err
	}
	if key.destroyed(version) {
		return nil, fmt.Errorf("%w: %s version %d", ErrDestroyed, org, version)
	}
	var out struct {
		Ciphertext string `json:"ciphertext"`
	}
	in := map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plaintext), "key_version": version}
	if err := r.call(ctx, http.MethodPost, "encrypt/"+r.name(org), in, &out); err != nil {
		return nil, fmt.Errorf("seal with root key %s version %d: %w", org, version, err)
	}
	if !strings.HasPrefix(out.Ciphertext, fmt.Sprintf("vault:v%d:", version)) {
		return nil, fmt.Errorf("seal with root key %s: the vault sealed with another version than %d", org, version)
	}
	return []byte(out.Ciphertext), nil
}

// Open implements Root.
func (r *VaultRoot) Open(ctx context.Context, org string, version uint32, sealed []byte) ([]byte, error) {
	if !bytes.HasPrefix(sealed, fmt.Appendf(nil, "vault:v%d:", version)) {
		return nil, fmt.Errorf("the keys of %s were not sealed with version %d of the vault: is this the key store that belongs to the database?", org, version)
	}
	key, err := r.read(ctx, org)
	if err != nil {
		return nil, fmt.Errorf("open with root key %s version %d: %w", org, version, err)
	}
	if key.destroyed(version) {
		return nil, fmt.Errorf("%w: %s version %d", ErrDestroyed, org, version)
	}
	var out struct {
		Plaintext []byte `json:"plaintext"` // base64 in JSON
	}
	if err := r.call(ctx, http.MethodPost, "decrypt/"+r.name(org), map[string]any{"ciphertext": string(sealed)}, &out); err != nil {
		return nil, fmt.Errorf("open with root key %s version %d: %w", org, version, err)
	}
	return out.Plaintext, nil
}

// Destroy implements Root. A vault destroys the versions before it as well,
// which nothing needs either: they were destroyed in their time.
func (r *VaultRoot) Destroy(ctx context.Context, org string, version uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := r.reach(ctx, org, version+1)
	if err != nil {
		return fmt.Errorf("destroy root key %s version %d: %w", org, version, err)
	}
	if key.Available > version {
		return nil
	}
	least := max(version+1, key.Least)
	for _, step := range []struct {
		path string
		in   map[string]any
	}{
		{"keys/" + r.name(org) + "/config", map[string]any{"min_decryption_version": least, "min_encryption_version": least}},
		{"keys/" + r.name(org) + "/trim", map[string]any{"min_available_version": version + 1}},
	} {
		if err := r.call(ctx, http.MethodPost, step.path, step.in, nil); err != nil {
			return fmt.Errorf("destroy root key %s version %d: %w", org, version, err)
		}
	}
	return nil
}

// reach makes the key and rotates it until it has the version.
func (r *VaultRoot) reach(ctx context.Context, org string, version uint32) (vaultKey, error) {
	key, err := r.read(ctx, org)
	if errors.Is(err, errNoVaultKey) {
		if err = r.call(ctx, http.MethodPost, "keys/"+r.name(org), map[string]any{"type": "aes256-gcm96"}, nil); err == nil {
			key, err = r.read(ctx, org)
		}
	}
	for err == nil && key.Latest < version {
		before := key.Latest
		if err = r.call(ctx, http.MethodPost, "keys/"+r.name(org)+"/rotate", map[string]any{}, nil); err == nil {
			key, err = r.read(ctx, org)
		}
		if err == nil && key.Latest <= before {
			err = errors.New("rotating the key made no new version")
		}
	}
	return key, err
}

func (r *VaultRoot) read(ctx context.Context, org string) (key vaultKey, err error) {
	return key, r.call(ctx, http.MethodGet, "keys/"+r.name(org), nil, &key)
}

func (r *VaultRoot) name(org string) string { return url.PathEscape(r.cfg.Key + "-" + org) }

var errNoVaultKey = errors.New("the vault has no such key")

// maxVaultAnswer bounds an answer, in bytes.
const maxVaultAnswer = 1 << 20

// call makes one request; out takes the member data of the answer.
func (r *VaultRoot) call(ctx context.Context, method, path string, in, out any) (err error) {
	token, err := os.ReadFile(r.cfg.TokenFile)
	if err != nil {
		return fmt.Errorf("read vault token: %w", err)
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("ask vault: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.cfg.Address+"/v1/"+r.cfg.Mount+"/"+path, body)
	if err != nil {
		return fmt.Errorf("ask vault: %w", err)
	}
	req.Header.Set("X-Vault-Token", strings.TrimSpace(string(token)))
	req.Header.Set("X-Vault-Request", "true")
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.cfg.Client.Do(req)
	if err != nil {
		return fmt.Errorf("ask vault: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxVaultAnswer))
	if err != nil {
		return fmt.Errorf("read answer of vault: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return vaultError(method, resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	if json.Unmarshal(text, &struct {
		Data any `json:"data"`
	}{out}) != nil { // its error could quote a key
		return errors.New("the answer of vault is damaged")
	}
	return nil
}

func vaultError(method string, status int, text []byte) error {
	if status == http.StatusNotFound && method == http.MethodGet {
		return errNoVaultKey
	}
	var said struct {
		Errors []string `json:"errors"`
	}
	_ = json.Unmarshal(text, &said) // the status says enough
	return fmt.Errorf("vault answered %d: %s", status, clip(strings.TrimSpace(strings.Join(said.Errors, "; "))))
}
