package inventory

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/zeebo/blake3"
)

func TestAnInventoryKeepsTheHashItBeganWith(t *testing.T) {
	for name, c := range map[string]struct {
		form []byte // after the secret, as it was made then
		hash func(key []byte, value string) hash128
	}{"HMAC": {nil, hmacOf}, "BLAKE3": {[]byte{blindBLAKE3}, blake3Of}} {
		t.Run(name, func(t *testing.T) { keepsHash(t, c.form, c.hash) })
	}
}

func keepsHash(t *testing.T, form []byte, hash func(key []byte, value string) hash128) {
	ctx := t.Context()
	s := openStore(t, sqlite(t))
	if err := s.create(ctx, "vardag"); err != nil {
		t.Fatal(err)
	}
	h, err := s.readHead(ctx, s.db, "vardag")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := s.cfg.Root.Open(ctx, "vardag", h.keyVersion, h.secret)
	if err != nil || secret[secretSize] != blindSipHash {
		t.Fatalf("a new inventory does not begin with SipHash: %v", err)
	}
	secret = append(secret[:secretSize], form...)
	old, err := s.cfg.Root.Seal(ctx, "vardag", h.keyVersion, secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(ctx, `UPDATE inventory SET secret = $1 WHERE org = 'vardag'`, old); err != nil {
		t.Fatal(err)
	}
	if r := mustImport(t, s, "vardag", sources()); r.New != 4 {
		t.Fatalf("report %+v", r)
	}
	if err := s.RotateKeys(ctx, "vardag", "test"); err != nil {
		t.Fatal(err)
	}
	h, err = s.readHead(ctx, s.db, "vardag")
	if err != nil {
		t.Fatal(err)
	}
	if rotated, err := s.cfg.Root.Open(ctx, "vardag", h.keyVersion, h.secret); err != nil || string(rotated) != string(secret) {
		t.Errorf("a rotation of keys changed the form of the index: %v", err)
	}
	// The hash of "r\0\0C1" under the key of identities, as other versions make it.
	tree, err := s.tree(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.find(ctx, s.db, h, byIdentity, hash(tree.blind.keys[byIdentity], "r\x00\x00C1"))
	if err != nil || len(found) != 1 {
		t.Errorf("the first person is found %d times by the hash of then: %v", len(found), err)
	}
	again := append(sources(), Text("more.csv", "person,given_name\nC9,Eve\n", Mapping{Kind: kindPeople}))
	if r := mustImport(t, s, "vardag", again); r.New != 1 || r.Known != 4 {
		t.Errorf("report of the second import: %+v", r)
	}
}

// TestTheHashOfANewInventoryIsSipHash compares with the vector of its authors:
// the bytes 0 to 14 under the key of the bytes 0 to 15.
func TestTheHashOfANewInventoryIsSipHash(t *testing.T) {
	b := &blindKeys{form: blindSipHash}
	count := make([]byte, 32)
	for i := range count {
		count[i] = byte(i)
	}
	for i := range b.keys {
		b.keys[i] = count
	}
	got := b.hasher().hash(byEmail, count[:15])
	if want := "5493e99933b0a8117e08ec0f97cfc3d9"; hex.EncodeToString(got[:]) != want {
		t.Errorf("hash %x instead of %s", got, want)
	}
}

func blake3Of(key []byte, value string) hash128 {
	m, err := blake3.NewKeyed(key)
	if err != nil {
		panic(err)
	}
	_, _ = m.WriteString(value) // a hash never fails
	return hash128(m.Sum(nil)[:16])
}

func hmacOf(key []byte, value string) hash128 {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(value))
	return hash128(m.Sum(nil)[:16])
}
