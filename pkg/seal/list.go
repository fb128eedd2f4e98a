package seal

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
)

// ListDigest computes the digest of a sealed list while its people are read, in
// ascending order of number: SHA-256 over the name of the list and, of every
// person, the number and what was exposed as two big-endian 32-bit words. Who
// seals a list and who sends to it compute it alike.
type ListDigest struct {
	h   hash.Hash
	buf []byte
}

// NewListDigest begins the digest of an organisation's list.
func NewListDigest(org string) *ListDigest { return newListDigest(org + "\n") }

// NewControllerDigest begins the digest of the part of a list that concerns the
// data of one controller; "" is the organisation itself.
func NewControllerDigest(org, controller string) *ListDigest {
	return newListDigest(org + "\ncontroller " + controller + "\n")
}

func newListDigest(name string) *ListDigest {
	d := &ListDigest{h: sha256.New(), buf: make([]byte, 0, 8*512)}
	d.h.Write([]byte("tocsin sealed list 1\n" + name))
	return d
}

// ResumeListDigest goes on where State was taken.
func ResumeListDigest(state []byte) (*ListDigest, error) {
	d := &ListDigest{h: sha256.New(), buf: make([]byte, 0, 8*512)}
	h, ok := d.h.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, fmt.Errorf("resume list digest: %T keeps no state", d.h)
	}
	if err := h.UnmarshalBinary(state); err != nil {
		return nil, fmt.Errorf("resume list digest: %w", err)
	}
	return d, nil
}

// Add adds the next person: the number and the categories exposed, as bits.
func (d *ListDigest) Add(number, exposed uint32) {
	d.buf = binary.BigEndian.AppendUint32(d.buf, number)
	d.buf = binary.BigEndian.AppendUint32(d.buf, exposed)
	if len(d.buf) == cap(d.buf) {
		d.flush()
	}
}

func (d *ListDigest) flush() {
	d.h.Write(d.buf)
	d.buf = d.buf[:0]
}

// State returns what ResumeListDigest needs to go on after the people added so far.
func (d *ListDigest) State() ([]byte, error) {
	d.flush()
	h, ok := d.h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, fmt.Errorf("keep list digest: %T keeps no state", d.h)
	}
	return h.MarshalBinary()
}

// Sum returns the digest of the people added so far, as "sha256:<hex>".
func (d *ListDigest) Sum() string {
	d.flush()
	return "sha256:" + hex.EncodeToString(d.h.Sum(nil))
}
