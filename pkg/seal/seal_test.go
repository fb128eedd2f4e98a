package seal_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/seal"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// signed returns a signature over an approval and the ring that trusts it.
func signed(t *testing.T) (string, event.Signature, *seal.Signer, *seal.Keyring) {
	t.Helper()
	signer, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := seal.Digest(event.Approval{ID: "a", Org: "tidewater", Case: "2026-001", ApprovedAt: noon})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Trust(signer.Public(), "desk", noon))
	if err != nil {
		t.Fatal(err)
	}
	return digest, signer.Sign(digest), signer, ring
}

func TestASignatureOverTheSameStatementVerifies(t *testing.T) {
	digest, sig, _, ring := signed(t)
	if err := ring.Verify(digest, sig, noon); err != nil {
		t.Error(err)
	}
}

func TestAnyFlippedBitFails(t *testing.T) {
	digest, sig, signer, ring := signed(t)
	value, err := base64.StdEncoding.DecodeString(sig.Value)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(t *rapid.T, b []byte) []byte {
		b = append([]byte{}, b...)
		n := rapid.IntRange(0, len(b)*8-1).Draw(t, "bit")
		b[n/8] ^= 1 << (n % 8)
		return b
	}
	rapid.Check(t, func(t *rapid.T) {
		d, s := digest, sig
		switch rapid.SampledFrom([]string{"digest", "decoded", "encoded", "key"}).Draw(t, "what") {
		case "digest":
			d = string(flip(t, []byte(d)))
		case "decoded":
			s.Value = base64.StdEncoding.EncodeToString(flip(t, value))
		case "encoded":
			s.Value = string(flip(t, []byte(s.Value)))
		case "key":
			s.Key = string(flip(t, []byte(s.Key)))
		}
		if err := ring.Verify(d, s, noon); err == nil {
			t.Fatalf("digest %q with signature %+v still verifies", d, s)
		}
	})
	// Spellings of the same bytes.
	for _, spelling := range []string{sig.Value + "\n", "\r\n" + sig.Value, strings.TrimRight(sig.Value, "="), sig.Value + "="} {
		if err := ring.Verify(digest, event.Signature{Key: sig.Key, Value: spelling}, noon); !errors.Is(err, seal.ErrBadSignature) {
			t.Errorf("the spelling %q gives %v", spelling, err)
		}
	}
	// What is no digest is no statement, even when it was signed.
	if err := ring.Verify("hello", signer.Sign("hello"), noon); !errors.Is(err, seal.ErrBadSignature) {
		t.Errorf("a text that is no digest gives %v", err)
	}
}

func TestAnyChangedFieldOfAnApprovalChangesItsDigest(t *testing.T) {
	seen := map[string]string{}
	for name, change := range map[string]func(*event.Approval){
		"nothing":  func(*event.Approval) {},
		"text":     func(a *event.Approval) { a.Texts[0].Digest += "0" },
		"language": func(a *event.Approval) { a.Texts[0].Language = "sv" },
		"revision": func(a *event.Approval) { a.Revision++ },
		"list":     func(a *event.Approval) { a.ScopeDigest = "x" },
		"channel":  func(a *event.Approval) { a.Channels = append(a.Channels, "sms") },
		"window":   func(a *event.Approval) { a.ValidUntil = a.ValidUntil.Add(time.Nanosecond) },
		"approver": func(a *event.Approval) { a.Approver = "u2" },
		"case":     func(a *event.Approval) { a.Case = "2026-002" },
	} {
		a := event.Approval{ID: "a", Org: "o", Case: "2026-001", Revision: 1, Channels: []string{"email"}, Approver: "u1", ValidUntil: noon,
			Texts: []event.ApprovedText{{TextKey: event.TextKey{Audience: "people", Channel: "email", Language: "en"}, Digest: "d"}}}
		change(&a)
		digest, err := seal.Digest(a)
		if err != nil {
			t.Fatal(err)
		}
		if other, double := seen[digest]; double {
			t.Errorf("changing the %s and the %s gives the same digest", name, other)
		}
		seen[digest] = name
	}
}

func TestOnlyATrustedKeyCountsAndOnlyInItsTime(t *testing.T) {
	digest, sig, signer, _ := signed(t)
	entry := seal.Trust(signer.Public(), "desk", noon)
	entry.ValidUntil = noon.Add(time.Hour)
	revoked := entry
	revoked.RevokedAt, revoked.Reason = noon.Add(time.Minute), "laptop lost"
	stranger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		entry seal.Entry
		at    time.Time
		want  error
	}{
		"at the first instant":      {entry, noon, nil},
		"before":                    {entry, noon.Add(-1), seal.ErrNotValid},
		"at the end":                {entry, noon.Add(time.Hour), seal.ErrNotValid},
		"before the revocation":     {revoked, noon, nil},
		"at the revocation":         {revoked, noon.Add(time.Minute), seal.ErrRevoked},
		"signed by somebody unseen": {seal.Trust(stranger.Public(), "", noon), noon, seal.ErrUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			ring, err := seal.NewKeyring(c.entry)
			if err != nil {
				t.Fatal(err)
			}
			if err := ring.Verify(digest, sig, c.at); !errors.Is(err, c.want) {
				t.Errorf("Verify = %v, want %v", err, c.want)
			}
		})
	}
}

func TestKeysAndKeyringsSurviveTheirFiles(t *testing.T) {
	folder := t.TempDir()
	digest, _, signer, ring := signed(t)
	keyFile, ringFile := filepath.Join(folder, "approval.key"), filepath.Join(folder, "keyring.yaml")
	if err := errors.Join(seal.SaveSigner(keyFile, signer), ring.Save(ringFile), ring.Save(ringFile)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key can be read by others: %v, %v", info.Mode(), err)
	}
	if err := seal.SaveSigner(keyFile, signer); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwriting a key gives %v", err)
	}
	loaded, err := seal.LoadSigner(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	loadedRing, err := seal.LoadKeyring(ringFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := loadedRing.Verify(digest, loaded.Sign(digest), noon); err != nil {
		t.Error(err)
	}
}

func TestAPrivateKeyIsNeverPrinted(t *testing.T) {
	_, _, signer, _ := signed(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, signer); got != signer.Public().ID {
			t.Errorf("%s prints %s", format, got)
		}
	}
}

func TestAKeyringFileWithAMistakeDoesNotLoad(t *testing.T) {
	_, _, signer, _ := signed(t)
	good := seal.Trust(signer.Public(), "", noon)
	id, public := good.ID, good.Public
	for name, c := range map[string]struct{ text, want string }{
		"misspelt field": {"keys: [{id: " + id + ", public: " + public + ", revoked: 2026-01-01T00:00:00Z}]", "field revoked not found"},
		"no keys":        {"keys: []", "names no key"},
		"empty":          {"", "names no key"},
		"wrong id":       {"keys: [{id: ed25519:00, public: " + public + "}]", "own id is " + id},
		"short key":      {"keys: [{id: " + id + ", public: AAAA}]", "32-byte"},
		"twice":          {"keys: [{id: " + id + ", public: " + public + "}, {id: " + id + ", public: " + public + "}]", "listed twice"},
		"window":         {"keys: [{id: " + id + ", public: " + public + ", valid_from: 2026-01-02T00:00:00Z, valid_until: 2026-01-01T00:00:00Z}]", "not after"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keyring.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := seal.LoadKeyring(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error = %v, want one naming the file and %q", err, c.want)
			}
		})
	}
	if _, err := seal.LoadSigner(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing key gives %v", err)
	}
}
