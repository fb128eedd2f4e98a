package inventory

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// transit is a server that speaks the part of Vault's transit API that the root
// uses. It holds what it sealed by an opaque name, so only it can open it.
type transit struct {
	mu     sync.Mutex
	keys   map[string]*transitKey
	sealed map[string]string // by ciphertext
}

type transitKey struct{ latest, least, encrypt, available int }

const transitToken = "s.token-of-the-test"

func startTransit(t *testing.T) (*transit, *VaultRoot) {
	t.Helper()
	v := &transit{keys: map[string]*transitKey{}, sealed: map[string]string{}}
	srv := httptest.NewServer(v)
	t.Cleanup(srv.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(transitToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := OpenVaultRoot(Vault{Address: srv.URL, TokenFile: token, Key: "tocsin"})
	if err != nil {
		t.Fatal(err)
	}
	return v, root
}

func (v *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	in := map[string]any{}
	if r.Method == http.MethodPost {
		_ = json.NewDecoder(r.Body).Decode(&in)
	}
	data, status := v.answer(r, in)
	w.WriteHeader(status)
	if data != nil {
		_ = json.NewEncoder(w).Encode(data)
	}
}

func (v *transit) answer(r *http.Request, in map[string]any) (any, int) {
	refuse := func(status int, why string) (any, int) { return map[string]any{"errors": []string{why}}, status }
	if r.Header.Get("X-Vault-Token") != transitToken {
		return refuse(403, "permission denied")
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), "/")
	key := v.keys[parts[1]]
	number := func(name string) int { n, _ := in[name].(float64); return int(n) }
	switch act := strings.Join(append(parts[:1:1], parts[2:]...), "/"); {
	case act == "keys" && r.Method == http.MethodPost:
		if key == nil {
			v.keys[parts[1]] = &transitKey{latest: 1, least: 1}
		}
		return nil, 204
	case key == nil:
		return refuse(404, "no such key")
	case act == "keys":
		return map[string]any{"data": map[string]any{"latest_version": key.latest, "min_decryption_version": key.least, "min_available_version": key.available}}, 200
	case act == "keys/rotate":
		key.latest++
		return nil, 204
	case act == "keys/config":
		if number("min_decryption_version") > key.latest {
			return refuse(400, "cannot set min decryption version beyond latest")
		}
		key.least, key.encrypt = number("min_decryption_version"), number("min_encryption_version")
		return nil, 204
	case act == "keys/trim":
		n := number("min_available_version")
		if key.encrypt == 0 || n > key.encrypt || n > key.least {
			return refuse(400, "cannot trim beyond the least versions")
		}
		key.available = n
		return nil, 204
	case act == "encrypt":
		if n := number("key_version"); n > key.latest || n < key.encrypt {
			return refuse(400, "version not allowed")
		}
		c := fmt.Sprintf("vault:v%d:%s", number("key_version"), base64.StdEncoding.EncodeToString(fmt.Append(nil, "opaque ", len(v.sealed))))
		v.sealed[c], _ = in["plaintext"].(string)
		return map[string]any{"data": map[string]any{"ciphertext": c}}, 200
	case act == "decrypt":
		c, _ := in["ciphertext"].(string)
		var version int
		if _, err := fmt.Sscanf(c, "vault:v%d:", &version); err != nil || version < key.least {
			return refuse(400, "ciphertext or signature version is disallowed by policy (too old)")
		}
		return map[string]any{"data": map[string]any{"plaintext": v.sealed[c]}}, 200
	}
	return refuse(404, "unsupported path")
}

func TestARootInAVaultSealsOpensAndDestroys(t *testing.T) {
	_, root := startTransit(t)
	var sealed [4][]byte
	for n := uint32(1); n < 4; n++ {
		var err error
		if sealed[n], err = root.Seal(t.Context(), "vardag", n, fmt.Append(nil, "key ", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(root.Destroy(t.Context(), "vardag", 1), root.Destroy(t.Context(), "vardag", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Open(t.Context(), "vardag", 1, sealed[1]); !errors.Is(err, ErrDestroyed) {
		t.Errorf("open with a destroyed version: %v", err)
	}
	if _, err := root.Seal(t.Context(), "vardag", 1, []byte("x")); !errors.Is(err, ErrDestroyed) {
		t.Errorf("seal with a destroyed version: %v", err)
	}
	for n := uint32(2); n < 4; n++ {
		if plain, err := root.Open(t.Context(), "vardag", n, sealed[n]); err != nil || string(plain) != fmt.Sprint("key ", n) {
			t.Errorf("version %d: %v", n, err)
		}
	}
	// The newest version can be destroyed too.
	if err := root.Destroy(t.Context(), "vardag", 3); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Open(t.Context(), "vardag", 3, sealed[3]); !errors.Is(err, ErrDestroyed) {
		t.Errorf("open with the last version destroyed: %v", err)
	}
	if _, err := root.Open(t.Context(), "other", 3, sealed[3]); err == nil {
		t.Error("another organisation's key opens it")
	}
}

func TestAnInventoryWithItsRootInAVaultErasesForGood(t *testing.T) {
	v, root := startTransit(t)
	db := sqlite(t)
	open := func() *Store {
		s, err := Open(t.Context(), Config{DB: db, Root: root, TempDir: t.TempDir(), Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	mustImport(t, s, "vardag", sources())
	anna := numberOf(t, s, "anna@example.test")
	if _, err := s.Erase(t.Context(), "vardag", []person.Number{anna}, "dora", "asked"); err != nil {
		t.Fatal(err)
	}
	if key := v.keys["tocsin-vardag"]; key == nil || key.available != 2 || key.latest != 2 {
		t.Errorf("the key in the vault stands at %+v", key)
	}
	s = open() // reads the keys from the vault again
	if numberOf(t, s, "anna@example.test") != 0 || numberOf(t, s, "bo@example.test") == 0 {
		t.Error("not the erased person, and only that one, is gone")
	}
	a, err := s.Preview(t.Context(), "vardag", []event.Exposure{window("crm.customers", "2026-01-01", "2026-02-01")}, Policy{})
	if err != nil || a.People != 1 || a.Erased != 1 {
		t.Errorf("%d people, %d erased: %v", a.People, a.Erased, err)
	}
}

func TestAVaultThatRefusesIsAnErrorWithoutItsToken(t *testing.T) {
	_, root := startTransit(t)
	if err := os.WriteFile(root.cfg.TokenFile, []byte("s.wrong-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := root.Seal(t.Context(), "vardag", 1, []byte("x"))
	if err == nil || !strings.Contains(err.Error(), "permission denied") || strings.Contains(err.Error(), "wrong-token") {
		t.Errorf("a refused token: %v", err)
	}
	for _, bad := range []Vault{{Address: "vault:8200", TokenFile: "t", Key: "k"}, {Address: "https://v", Key: "k"}, {Address: "https://v", TokenFile: "t"}} {
		if _, err := OpenVaultRoot(bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}
