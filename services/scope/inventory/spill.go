package inventory

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
)

// spill sorts rows of an import into parts without holding them all in memory.
// What does not fit goes to temporary files that are encrypted with a key that
// exists only in this process and that have no name on disk once they are open.
type spill struct {
	dir   string
	parts []spillPart
	block int // bytes a part gathers before it writes
	inMem int // bytes that may stay in memory
	held  int
	free  [][]byte     // buffers of dropped parts
	read  []byte       // a block from a file
	files []*spillFile // by part / partsInFile; nil until needed
	made  uint64       // files ever made
	key   cipher.Block
}

// spillFile holds what some neighbouring parts do not keep in memory. Parts are
// read and dropped one after the other; the file is closed with the last of
// them, so that disk and page cache have room for what the import writes next.
type spillFile struct {
	*os.File
	serial uint64 // no two files have the same key stream
	end    int64
	parts  int // that have blocks in it
}

const partsInFile = 16

type spillPart struct {
	buf    []byte
	blocks []spillBlock
	size   int
	file   *spillFile // nil while all blocks are in memory
}

type spillBlock struct {
	mem []byte // nil if it lies in the file
	off int64
	len int
}

const (
	spillBlockSize = 64 << 10
	spillInMemory  = 4 << 20
)

func newSpill(dir string) *spill {
	return &spill{dir: dir, block: spillBlockSize, inMem: spillInMemory}
}

// newSmallSpill is for many parts of small rows: its parts take less memory.
func newSmallSpill(dir string) *spill {
	return &spill{dir: dir, block: spillBlockSize / 4, inMem: spillInMemory / 4}
}

// newPassing is for parts that are read soon after they are filled: they rarely
// reach the file.
func newPassing(dir string) *spill {
	return &spill{dir: dir, block: spillBlockSize, inMem: 6 * spillInMemory}
}

func (s *spill) part(i int) *spillPart {
	for len(s.parts) <= i {
		s.parts = append(s.parts, spillPart{})
	}
	return &s.parts[i]
}

// add appends bytes to a part.
func (s *spill) add(i int, b []byte) error {
	room, err := s.room(i, len(b))
	copy(room, b)
	return err
}

// room appends n bytes to a part for the caller to fill before the next call.
func (s *spill) room(i, n int) ([]byte, error) {
	p := s.part(i)
	if len(p.buf)+n > cap(p.buf) {
		if err := s.makeRoom(i, n); err != nil {
			return nil, err
		}
	}
	at := len(p.buf)
	p.buf = p.buf[:at+n]
	p.size += n
	return p.buf[at : at+n : at+n], nil
}

// makeRoom gives the buffer of a part room for n more bytes: small parts grow,
// others write what they gathered.
func (s *spill) makeRoom(i, n int) error {
	p := &s.parts[i]
	if len(p.buf)+n > s.block {
		if err := s.flush(i); err != nil {
			return err
		}
	}
	last := len(s.free) - 1
	switch {
	case len(p.buf)+n <= cap(p.buf):
	case p.buf == nil && last >= 0 && n <= s.block:
		p.buf, s.free = s.free[last], s.free[:last]
	case len(p.buf) == 0 && len(p.blocks) > 0:
		p.buf = make([]byte, 0, max(s.block, n))
	default:
		p.buf = slices.Grow(p.buf, n)
	}
	return nil
}

func (s *spill) flush(i int) error {
	p := &s.parts[i]
	if len(p.buf) == 0 {
		return nil
	}
	if s.held+len(p.buf) <= s.inMem {
		s.held += len(p.buf)
		p.blocks = append(p.blocks, spillBlock{mem: p.buf, len: len(p.buf)})
		p.buf = nil
		return nil
	}
	if err := s.openFile(i); err != nil {
		return err
	}
	f := p.file
	s.crypt(p.buf, f, f.end)
	if _, err := f.WriteAt(p.buf, f.end); err != nil {
		return fmt.Errorf("write temporary import file in %s: %w", s.dir, err)
	}
	p.blocks = append(p.blocks, spillBlock{off: f.end, len: len(p.buf)})
	f.end += int64(len(p.buf)+aes.BlockSize-1) / aes.BlockSize * aes.BlockSize
	p.buf = p.buf[:0]
	return nil
}

// crypt encrypts or decrypts what lies at a multiple of 16 of a file.
func (s *spill) crypt(b []byte, f *spillFile, off int64) {
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[:], f.serial)
	binary.BigEndian.PutUint64(iv[8:], uint64(off)/aes.BlockSize)
	cipher.NewCTR(s.key, iv[:]).XORKeyStream(b, b)
}

// openFile gives part i its file.
func (s *spill) openFile(i int) error {
	p := &s.parts[i]
	if p.file != nil {
		return nil
	}
	at := i / partsInFile
	for len(s.files) <= at {
		s.files = append(s.files, nil)
	}
	if s.files[at] == nil {
		f, err := s.makeFile()
		if err != nil {
			return err
		}
		s.files[at] = f
	}
	p.file = s.files[at]
	p.file.parts++
	return nil
}

func (s *spill) makeFile() (*spillFile, error) {
	if s.key == nil {
		key := make([]byte, 16)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make key of temporary import file: %w", err)
		}
		var err error
		if s.key, err = aes.NewCipher(key); err != nil {
			return nil, fmt.Errorf("make key of temporary import file: %w", err)
		}
	}
	f, err := os.CreateTemp(s.dir, "tocsin-import-*")
	if err != nil {
		return nil, fmt.Errorf("make temporary import file: %w", err)
	}
	// Without a name nothing is left behind by a crash. Where the system does
	// not allow that, close removes it and its key is gone in any case.
	_ = os.Remove(f.Name())
	s.made++
	return &spillFile{File: f, serial: s.made}, nil
}

// holds reports whether anything was added to one of n parts from i on.
func (s *spill) holds(i, n int) bool {
	return i < len(s.parts) && slices.ContainsFunc(s.parts[i:min(i+n, len(s.parts))], func(p spillPart) bool { return p.size > 0 })
}

// each calls f with the bytes of a part, block by block in the order in which
// they were added; an add is never split over two calls. f must not keep them.
func (s *spill) each(i int, f func(b []byte) error) error {
	if i >= len(s.parts) {
		return nil
	}
	p := &s.parts[i]
	for _, block := range p.blocks {
		b := block.mem
		if b == nil {
			s.read = slices.Grow(s.read[:0], block.len)
			b = s.read[:block.len]
			if _, err := p.file.ReadAt(b, block.off); err != nil {
				return fmt.Errorf("read temporary import file: %w", err)
			}
			s.crypt(b, p.file, block.off)
		}
		if err := f(b); err != nil {
			return err
		}
	}
	return f(p.buf)
}

// load returns all bytes of a part in buf, which is made larger where needed.
func (s *spill) load(i int, buf []byte) ([]byte, error) {
	if i >= len(s.parts) {
		return buf[:0], nil
	}
	all := slices.Grow(buf[:0], s.parts[i].size)
	err := s.each(i, func(b []byte) error {
		all = append(all, b...)
		return nil
	})
	return all, err
}

// drop forgets a part; its memory and room on disk serve others.
func (s *spill) drop(i int) error {
	if i >= len(s.parts) {
		return nil
	}
	p := &s.parts[i]
	for _, b := range p.blocks {
		s.held -= len(b.mem)
		s.keep(b.mem)
	}
	s.keep(p.buf)
	f := p.file
	*p = spillPart{}
	if f == nil {
		return nil
	}
	if f.parts--; f.parts > 0 {
		return nil
	}
	s.files[i/partsInFile] = nil
	return f.close()
}

func (s *spill) keep(b []byte) {
	if cap(b) >= s.block && len(s.free) < s.inMem/s.block {
		s.free = append(s.free, b[:0])
	}
}

func (s *spill) close() error {
	var err error
	for _, f := range s.files {
		if f != nil {
			err = errors.Join(err, f.close())
		}
	}
	s.parts, s.free, s.read, s.files = nil, nil, nil, nil
	return err
}

func (f *spillFile) close() error {
	return errors.Join(f.Close(), removeIfThere(f.Name()))
}

func removeIfThere(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
