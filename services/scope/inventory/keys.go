package inventory

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/crypto/chacha20poly1305"
)

// The key tree of one organisation:
//
//	root key, version n      with the Root: a key file or a KMS; old versions are destroyed
//	 └ table key             in the row of the inventory, sealed with the root key
//	    └ page-key table     512 keys for each chunk of 65,536 people, sealed with the table key
//	       └ key page        128 keys, sealed with its page key
//	          └ record       sealed with the person's key
//
// Every page key and every person's key seals once: a page or record that
// changes gets a fresh key. So a nonce of zero is never used twice, and a copy
// of an older page does not open with today's key.
//
// Erasure takes the person's key out of its page, gives that page a new key,
// seals the table with a new table key under root version n+1 and destroys
// version n. Whatever older copy survives in a log, a dead row or a backup then
// stays shut, and no record needs to be written again.

const (
	chunkSize = 1 << 16 // people in a chunk
	pageSize  = 128     // people on a page
	pages     = chunkSize / pageSize
	keySize   = chacha20poly1305.KeySize
)

// Root guards the top of the key trees. The file root is for one machine; a
// KMS stands behind the same three methods.
type Root interface {
	// Seal encrypts at most 4 KiB with the version of the organisation's root
	// key, which is made if it never existed. It fails for a destroyed version.
	Seal(ctx context.Context, org string, version uint32, plaintext []byte) ([]byte, error)
	// Open reverses Seal. It returns ErrDestroyed for a destroyed version.
	Open(ctx context.Context, org string, version uint32, sealed []byte) ([]byte, error)
	// Destroy makes everything sealed with the version unreadable for ever.
	// Destroying twice is no error.
	Destroy(ctx context.Context, org string, version uint32) error
}

// ErrDestroyed means that a root key version was destroyed.
var ErrDestroyed = errors.New("root key version destroyed")

// tree holds the opened keys of an organisation.
type tree struct {
	org            string
	version        uint32
	table          cipher.AEAD
	blind          *blindKeys
	secret         []byte
	sealedTableKey []byte
	sealedSecret   []byte
}

func newTree(ctx context.Context, root Root, random io.Reader, org string) (*tree, error) {
	secret := make([]byte, secretSize+1)
	if _, err := io.ReadFull(random, secret[:secretSize]); err != nil {
		return nil, fmt.Errorf("make keys of inventory %s: %w", org, err)
	}
	secret[secretSize] = blindSipHash
	return newVersion(ctx, root, random, org, 1, secret)
}

// newVersion makes a fresh table key under a version of the root key.
func newVersion(ctx context.Context, root Root, random io.Reader, org string, version uint32, secret []byte) (*tree, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("make keys of inventory %s: %w", org, err)
	}
	sealedKey, err := root.Seal(ctx, org, version, key)
	if err != nil {
		return nil, fmt.Errorf("seal table key of inventory %s with root version %d: %w", org, version, err)
	}
	sealedSecret, err := root.Seal(ctx, org, version, secret)
	if err != nil {
		return nil, fmt.Errorf("seal secret of inventory %s with root version %d: %w", org, version, err)
	}
	t, err := makeTree(org, version, key, secret)
	if err != nil {
		return nil, err
	}
	t.sealedTableKey, t.sealedSecret = sealedKey, sealedSecret
	return t, nil
}

func openTree(ctx context.Context, root Root, h head) (*tree, error) {
	key, err := root.Open(ctx, h.org, h.keyVersion, h.keys)
	if err != nil {
		return nil, fmt.Errorf("open table key of inventory %s with root version %d: %w", h.org, h.keyVersion, err)
	}
	secret, err := root.Open(ctx, h.org, h.keyVersion, h.secret)
	if err != nil {
		return nil, fmt.Errorf("open secret of inventory %s with root version %d: %w", h.org, h.keyVersion, err)
	}
	t, err := makeTree(h.org, h.keyVersion, key, secret)
	if err != nil {
		return nil, err
	}
	t.sealedTableKey, t.sealedSecret = h.keys, h.secret
	return t, nil
}

func makeTree(org string, version uint32, key, secret []byte) (*tree, error) {
	blind, err := newBlindKeys(secret)
	if err != nil {
		return nil, fmt.Errorf("keys of inventory %s: %w", org, err)
	}
	table, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("table key of inventory %s: %w", org, err)
	}
	return &tree{org: org, version: version, table: table, blind: blind, secret: secret}, nil
}

// pageKeys are the keys of the pages of one chunk; a zero key means no page.
type pageKeys [pages][keySize]byte

func (t *tree) chunkName(chunk uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte("page keys of "+t.org+" "), chunk)
}

// sealTable seals the page keys of a chunk with a random 24-byte nonce, as the
// table key seals many times.
func (t *tree) sealTable(random io.Reader, chunk uint32, keys *pageKeys) ([]byte, error) {
	out := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+pages*keySize+chacha20poly1305.Overhead)
	if _, err := io.ReadFull(random, out); err != nil {
		return nil, fmt.Errorf("seal page keys: %w", err)
	}
	plain := make([]byte, 0, pages*keySize)
	for i := range keys {
		plain = append(plain, keys[i][:]...)
	}
	return t.table.Seal(out, out[:chacha20poly1305.NonceSizeX], plain, t.chunkName(chunk)), nil
}

func (t *tree) openTable(chunk uint32, sealed []byte) (*pageKeys, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, fmt.Errorf("page keys of chunk %d of %s are cut off", chunk, t.org)
	}
	nonce, body := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	plain, err := t.table.Open(nil, nonce, body, t.chunkName(chunk))
	if err != nil || len(plain) != pages*keySize {
		return nil, fmt.Errorf("page keys of chunk %d of %s do not open with the present key", chunk, t.org)
	}
	keys := new(pageKeys)
	for i := range keys {
		copy(keys[i][:], plain[i*keySize:])
	}
	return keys, nil
}

// personKeys are the keys of the people on one page; a zero key means nobody.
type personKeys [pageSize][keySize]byte

// zeroNonce is right because each of these keys seals exactly one text.
var zeroNonce [chacha20poly1305.NonceSize]byte

// sealOnce seals with a key that was made for this one text.
func sealOnce(dst []byte, key *[keySize]byte, plaintext, context []byte) []byte {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic(err) // the key has the right size by its type
	}
	return aead.Seal(dst, zeroNonce[:], plaintext, context) //nolint:gosec // G407: the key seals this one text
}

func openOnce(dst []byte, key *[keySize]byte, sealed, context []byte) ([]byte, error) {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic(err) // the key has the right size by its type
	}
	return aead.Open(dst, zeroNonce[:], sealed, context)
}

// sealKeyPage appends the sealed keys to dst.
func sealKeyPage(dst []byte, pageKey *[keySize]byte, firstNumber uint32, keys *personKeys) []byte {
	plain := unsafe.Slice(&keys[0][0], len(keys)*keySize)
	return sealOnce(dst, pageKey, plain, numberContext(nil, firstNumber))
}

func openKeyPage(pageKey *[keySize]byte, firstNumber uint32, sealed []byte, keys *personKeys) error {
	var buf [pageSize * keySize]byte
	plain, err := openOnce(buf[:0], pageKey, sealed, numberContext(nil, firstNumber))
	if err != nil || len(plain) != len(buf) {
		return fmt.Errorf("key page from person %d on does not open with its key", firstNumber)
	}
	for i := range keys {
		copy(keys[i][:], plain[i*keySize:])
	}
	return nil
}

// numberContext appends what binds a sealed text to its place.
func numberContext(dst []byte, number uint32) []byte {
	return binary.BigEndian.AppendUint32(dst, number)
}

// makeKeys fills many keys from one that is drawn for it and forgotten: asking
// the system for each byte costs ten times as much.
func makeKeys(random io.Reader, keys []byte) error {
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	clear(keys)
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(keys, keys) //nolint:gosec // G407: the seed is used once
	return nil
}

// randomKeys fills keys afresh.
func randomKeys(random io.Reader, keys ...*[keySize]byte) error {
	for _, k := range keys {
		if _, err := io.ReadFull(random, k[:]); err != nil {
			return fmt.Errorf("make keys: %w", err)
		}
	}
	return nil
}

func isZero(key *[keySize]byte) bool { return *key == [keySize]byte{} }
