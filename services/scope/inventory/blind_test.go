package inventory

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"
)

func TestAnInventoryFromBeforeBLAKE3KnowsItsPeopleAgain(t *testing.T) {
	ctx := t.Context()
	s := openStore(t, sqlite(t))
	if err := s.create(ctx, "vardag"); err != nil {
		t.Fatal(err)
	}
	h, err := readHead(ctx, s.db, "vardag")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := s.cfg.Root.Open(ctx, "vardag", h.keyVersion, h.secret)
	if err != nil || secret[secretSize] != blindBLAKE3 {
		t.Fatalf("a new inventory does not begin with BLAKE3: %v", err)
	}
	old, err := s.cfg.Root.Seal(ctx, "vardag", h.keyVersion, secret[:secretSize]) // as it was made until then
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
	h, err = readHead(ctx, s.db, "vardag")
	if err != nil {
		t.Fatal(err)
	}
	if rotated, err := s.cfg.Root.Open(ctx, "vardag", h.keyVersion, h.secret); err != nil || string(rotated) != string(secret[:secretSize]) {
		t.Errorf("a rotation of keys changed the form of the index: %v", err)
	}
	// HMAC-SHA-256 of "r\0\0C1" under the key of identities, as other versions make it.
	tree, err := s.tree(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.find(ctx, s.db, h, byIdentity, hmacOf(tree.blind.keys[byIdentity], "r\x00\x00C1"))
	if err != nil || len(found) != 1 {
		t.Errorf("the first person is found %d times by HMAC: %v", len(found), err)
	}
	again := append(sources(), Text("more.csv", "person,given_name\nC9,Eve\n", Mapping{Kind: kindPeople}))
	if r := mustImport(t, s, "vardag", again); r.New != 1 || r.Known != 4 {
		t.Errorf("report of the second import: %+v", r)
	}
}

func hmacOf(key []byte, value string) hash128 {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(value))
	return hash128(m.Sum(nil)[:16])
}
