package inventory

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"tocsin.dev/pkg/category"
)

// The bulk form carries an inventory between installations, and millions of
// people in seconds. It is not encrypted: treat it like the database it came
// from. A file is
//
//	"TOCSIN1\n"
//	blocks: type byte, length uvarint, content
//	  S  a System as JSON
//	  D  a Dataset as JSON; datasets are numbered from 0 in order
//	  P  a person: length of the record uvarint, record, length of the guardian's
//	     number uvarint, the number, and for each holding dataset uvarint,
//	     categories uvarint, first u32, last u32 (little-endian)
//	  E  the number of people as uvarint; always last, so that a file that was
//	     cut off is known
//
// Values are already normal: E.164, BCP 47, ISO 3166, UTC.

const (
	bulkMagic    = "TOCSIN1\n"
	maxBulkBlock = 1 << 20
)

// BulkWriter writes the bulk form. It serves one goroutine.
type BulkWriter struct {
	w        *bufio.Writer
	datasets map[string]uint64
	people   uint64
	buf      []byte
	record   []byte
}

// NewBulkWriter begins a file.
func NewBulkWriter(w io.Writer) (*BulkWriter, error) {
	b := &BulkWriter{w: bufio.NewWriterSize(w, 1<<20), datasets: map[string]uint64{}}
	_, err := b.w.WriteString(bulkMagic)
	return b, err
}

func (b *BulkWriter) block(kind byte, body []byte) error {
	head := binary.AppendUvarint([]byte{kind}, uint64(len(body)))
	if _, err := b.w.Write(head); err != nil {
		return err
	}
	_, err := b.w.Write(body)
	return err
}

// System writes a system.
func (b *BulkWriter) System(s System) error { return b.json('S', s) }

// Dataset writes a dataset; holdings may name it from then on.
func (b *BulkWriter) Dataset(d Dataset) error {
	b.datasets[d.Key] = uint64(len(b.datasets))
	return b.json('D', d)
}

func (b *BulkWriter) json(kind byte, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.block(kind, body)
}

// Person writes a person with their holdings.
func (b *BulkWriter) Person(p *Person, holdings []Holding) error {
	b.record = p.encode(b.record[:0])
	b.buf = binary.AppendUvarint(b.buf[:0], uint64(len(b.record)))
	b.buf = append(b.buf, b.record...)
	b.buf = binary.AppendUvarint(b.buf, uint64(len(p.GuardianRef)))
	b.buf = append(b.buf, p.GuardianRef...)
	for _, h := range holdings {
		id, known := b.datasets[h.Dataset]
		if !known {
			return fmt.Errorf("bulk form: dataset %q was not written before its records", clip(h.Dataset))
		}
		b.buf = binary.AppendUvarint(b.buf, id)
		b.buf = binary.AppendUvarint(b.buf, uint64(h.Categories))
		b.buf = binary.LittleEndian.AppendUint32(b.buf, h.First)
		b.buf = binary.LittleEndian.AppendUint32(b.buf, h.Last)
	}
	b.people++
	return b.block('P', b.buf)
}

// Close ends the file.
func (b *BulkWriter) Close() error {
	return errors.Join(b.block('E', binary.AppendUvarint(nil, b.people)), b.w.Flush())
}

func bulkFile(ctx context.Context, d *Delivery, name string, f *os.File, digest io.Writer, _ Mapping) error {
	return d.Bulk(ctx, name, io.TeeReader(f, digest))
}

// bulkReader reads blocks.
type bulkReader struct {
	d        *Delivery
	name     string
	r        *bufio.Reader
	file     uint16
	datasets []*deliveredDataset
	people   uint64
	person   Person
}

var errBulk = errors.New("the bulk file is damaged")

// Bulk takes in the bulk form.
func (d *Delivery) Bulk(ctx context.Context, name string, r io.Reader) error {
	b := &bulkReader{d: d, name: name, r: bufio.NewReaderSize(r, maxBulkBlock), file: d.File(name)}
	magic := make([]byte, len(bulkMagic))
	if _, err := io.ReadFull(b.r, magic); err != nil || string(magic) != bulkMagic {
		return fmt.Errorf("%s: not a file in the bulk form", name)
	}
	for {
		if b.people%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		end, err := b.next()
		if err != nil {
			return fmt.Errorf("%s after person %d: %w", name, b.people, err)
		}
		if end {
			return nil
		}
	}
}

func (b *bulkReader) next() (end bool, err error) {
	head, err := b.r.Peek(1 + binary.MaxVarintLen32)
	if len(head) == 0 {
		return false, cutOff(err)
	}
	size, used := binary.Uvarint(head[1:])
	if used == 0 && len(head) <= binary.MaxVarintLen32 {
		return false, cutOff(err)
	}
	if used <= 0 || size > maxBulkBlock {
		return false, errBulk
	}
	kind := head[0]
	if _, err := b.r.Discard(1 + used); err != nil {
		return false, cutOff(err)
	}
	block, err := b.r.Peek(int(size))
	if err != nil {
		return false, cutOff(err)
	}
	if end, err = b.take(kind, block); err != nil {
		return false, err
	}
	_, err = b.r.Discard(len(block))
	return end, err
}

// take takes in a block, which lies in the reader's buffer.
func (b *bulkReader) take(kind byte, block []byte) (end bool, err error) {
	switch kind {
	case 'P':
		return false, b.takePerson(unsafe.String(unsafe.SliceData(block), len(block)))
	case 'S':
		var s System
		if json.Unmarshal(block, &s) != nil {
			return false, errBulk
		}
		b.d.System(s)
		return false, nil
	case 'D':
		var ds Dataset
		if json.Unmarshal(block, &ds) != nil || ds.Key == "" {
			return false, errBulk
		}
		if err := b.d.Dataset(ds); err != nil {
			return false, err
		}
		b.datasets = append(b.datasets, b.d.datasets[ds.Key])
		return false, nil
	case 'E':
		if n, used := binary.Uvarint(block); used <= 0 || n != b.people {
			return false, errBulk
		}
		return true, nil
	}
	return false, errBulk
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is cut off")
	}
	return err
}

// takePerson takes a person and their records from a text that is gone when it
// returns; the delivery keeps nothing of it.
func (b *bulkReader) takePerson(text string) error {
	at := Origin{File: b.file, Line: uint32(b.people + 1)}
	b.people++
	n, used := uvarint(text)
	if used == 0 || n > uint64(len(text)-used) {
		return errBulk
	}
	record := text[used : used+int(n)]
	same, err := b.person.read(record)
	if err != nil {
		return errBulk
	}
	if !same {
		record = ""
	}
	text = text[used+int(n):]
	n, used = uvarint(text)
	if used == 0 || n > uint64(len(text)-used) {
		return errBulk
	}
	b.person.GuardianRef = text[used : used+int(n)]
	b.person.guardian = 0
	ordinal, err := b.d.person(&b.person, record, at)
	if errors.Is(err, errSkip) {
		return nil
	}
	if err != nil {
		return err
	}
	return b.takeHoldings(ordinal, text[used+int(n):], at)
}

func (b *bulkReader) takeHoldings(ordinal uint32, text string, at Origin) error {
	for text != "" {
		id, used := uvarint(text)
		if used == 0 || id >= uint64(len(b.datasets)) {
			return errBulk
		}
		text = text[used:]
		set, used := uvarint(text)
		if used == 0 || len(text) < used+8 {
			return errBulk
		}
		ds := b.datasets[id]
		h := Holding{Dataset: ds.Key, Categories: category.Set(set), First: number32(text[used:]), Last: number32(text[used+4:])}
		text = text[used+8:]
		if err := b.d.holdingOf(ordinal, ds, h, at); err != nil && !errors.Is(err, errSkip) {
			return err
		}
	}
	return nil
}
