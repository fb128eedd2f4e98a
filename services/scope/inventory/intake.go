package inventory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"tocsin.dev/pkg/category"
)

// term returns the index of a country or language.
func (d *Delivery) term(list int, word string) (uint16, error) {
	key, short := shortWord(word)
	kept := &d.lastTerms[list][key*0x9e3779b97f4a7c15>>(64-termBits)]
	if short && kept.word == key {
		return kept.id, nil
	}
	id, known := d.termIDs[list][word]
	if !known {
		words := &d.head.terms.Jurisdictions
		if list == 1 {
			words = &d.head.terms.Languages
		}
		if len(*words) >= maxTerms {
			return 0, fmt.Errorf("more than %d different languages or countries", maxTerms)
		}
		id = uint16(len(*words))
		word = strings.Clone(word)
		*words = append(*words, word)
		d.termIDs[list][word] = id
	}
	if short {
		*kept = term{key, id}
	}
	return id, nil
}

// termBits is how many terms of each kind are found without a map: 1 << 8.
const termBits = 8

// term is a word of at most seven bytes with its index.
type term struct {
	word uint64
	id   uint16
}

// shortWord packs a word and its length into a number that is never zero.
func shortWord(s string) (uint64, bool) {
	if len(s) > 7 {
		return 0, false
	}
	key := uint64(len(s)) + 1
	for i := range len(s) {
		key = key<<8 | uint64(s[i])
	}
	return key, true
}

// Person adds a row about a person and returns its ordinal for HoldingOf.
func (d *Delivery) Person(p *Person, at Origin) (uint32, error) { return d.person(p, "", at) }

// person adds a row about a person. record is what encode writes of it, or empty.
func (d *Delivery) person(p *Person, record string, at Origin) (uint32, error) {
	if d.rows >= maxRows {
		return 0, fmt.Errorf("a delivery takes at most %d people", maxRows)
	}
	ordinal := d.rows
	attr, err := d.attribute(p)
	if err != nil {
		return 0, err
	}
	row := binary.LittleEndian.AppendUint32(d.nextRow[:0], ordinal)
	row = append(row, 0, 0)
	row = binary.LittleEndian.AppendUint16(row, attr.jurisdiction)
	row = binary.LittleEndian.AppendUint16(row, attr.language)
	row = binary.LittleEndian.AppendUint16(row, attr.lastActive)
	row = append(row, attr.class, attr.channels, 0, 0)
	if record != "" {
		row = append(row, record...)
	} else {
		row = p.encode(row)
	}
	size := len(row) - rowHead - recordHead
	if size > maxRecord {
		d.Bad(at, "", fmt.Sprintf("the row holds %d bytes about one person; at most %d are kept", size, maxRecord))
		return 0, errSkip
	}
	binary.LittleEndian.PutUint16(row[rowHead+attributeSize:], uint16(size))
	d.nextRow = row
	keys := &d.keys
	if !d.hashRow(keys, p, row[rowHead+recordHead:]) {
		d.Bad(at, "", "nothing in this row says who it is about: give a person number, a name or an address")
		return 0, errSkip
	}
	if d.erased(p) {
		d.tombs.identities[keys.of[byIdentity]] = true
		d.report.Erased++
		return 0, errSkip
	}
	if p.GuardianRef != "" {
		d.guardian = append(d.guardian, guardianRef{hash: d.refHash(p.Space, p.GuardianRef), ordinal: ordinal, origin: at})
	}
	// Writing to the parts misses the caches, and until that is done the
	// processor waits at every read of what was just put together in smaller
	// pieces, as keys are. So all keys of a row come first.
	if err := errors.Join(d.flushRow(), d.addIndex(keys, ordinal)); err != nil {
		return 0, err
	}
	d.row, d.nextRow, d.rowPart = row, d.row, int(keys.of[byIdentity][0])
	d.rows++
	d.report.People++
	return ordinal, nil
}

// erased reports whether the row is about somebody who was erased on request
// and now comes under another number: the same mailbox and name. Whoever was
// active after the erasure came back of their own accord and is taken in.
func (d *Delivery) erased(p *Person) bool {
	if len(d.tombs.mailboxes) == 0 {
		return false
	}
	tag := mailboxTag(d.hash, p)
	if tag == nil {
		return false
	}
	at, known := d.tombs.mailboxes[[20]byte(tag)]
	return known && int64(p.LastActive) <= at.Unix()/86400
}

// A row in the spill is its ordinal u32, the number of its holdings u16, the
// attribute, the length of the record u16, the record, and the holdings.
const (
	rowHead    = 4 + 2
	recordHead = attributeSize + 2
)

// flushRow gives the last row away: it gets no more holdings.
func (d *Delivery) flushRow() error {
	if len(d.row) == 0 {
		return nil
	}
	err := d.records.add(d.rowPart, d.row)
	d.row = d.row[:0]
	return err
}

// errSkip means that a row was refused and recorded with Bad.
var errSkip = errors.New("row refused")

// Skipped reports whether an error of Person, HoldingOf or Holding means only
// that the row was left out: it has a fault, which is recorded, or its person
// was erased on request. The next row may follow.
func Skipped(err error) bool { return errors.Is(err, errSkip) }

func (d *Delivery) attribute(p *Person) (attribute, error) {
	jurisdiction, err := d.term(0, p.Jurisdiction)
	if err != nil {
		return attribute{}, err
	}
	language, err := d.term(1, p.Language)
	if err != nil {
		return attribute{}, err
	}
	return attribute{jurisdiction: jurisdiction, language: language, lastActive: p.LastActive, class: p.class(), channels: p.channels()}, nil
}

// rowKeys are the keys of a row in the index.
type rowKeys struct {
	of         [indexKinds]hash128
	has        [indexKinds]bool
	name, born uint32 // the tags beside the mailbox
}

// hashRow fills in the keys of a row. It reports false if nothing in the row
// says who it is about.
func (d *Delivery) hashRow(keys *rowKeys, p *Person, record []byte) bool {
	*keys = rowKeys{}
	keys.of[byIdentity], keys.has[byIdentity] = d.identity(p, record)
	if !keys.has[byIdentity] {
		return false
	}
	hash := func(k kindOfIndex) { keys.of[k], keys.has[k] = d.hash.hash(k, d.key), true }
	if d.key = normalName(d.key[:0], p.Given, p.Family); len(d.key) > 0 {
		hash(byName)
		if !p.Unverified {
			// The tag is cut from the part of the hash that the index does not keep.
			keys.name = max(1, binary.BigEndian.Uint32(keys.of[byName][8:]))
		}
	}
	if p.Email != "" {
		d.key = normalEmail(d.key[:0], p.Email)
		hash(byEmail)
		if !p.Unverified {
			keys.born = d.hash.bornTag(p.Born)
		}
	}
	if p.Phone != "" {
		d.key = append(d.key[:0], p.Phone...)
		hash(byPhone)
	}
	if p.OfficialID != "" {
		d.key = append(d.key[:0], p.OfficialID...)
		hash(byOfficial)
	}
	return true
}

// identity returns the hash by which the row is the same person again: the
// organisation's own number, else a government id, else mailbox and name, else
// the whole row.
func (d *Delivery) identity(p *Person, record []byte) (hash128, bool) {
	if p.Ref != "" {
		return d.refHash(p.Space, p.Ref), true
	}
	k := d.key[:0]
	switch {
	case p.OfficialID != "":
		k = append(k, "o\x00"...)
		k = append(k, p.OfficialID...)
	case p.Email != "" && !p.Unverified && (p.Given != "" || p.Family != ""):
		k = append(k, "e\x00"...)
		k = append(normalEmail(k, p.Email), 0)
		k = append(normalName(k, p.Given, p.Family), 0)
		k = binary.LittleEndian.AppendUint32(k, uint32(p.Born))
	case p.Given != "" || p.Family != "" || p.Email != "" || p.Phone != "" || p.Fax != "" || len(p.Address) > 0:
		k = append(k, "c\x00"...)
		k = append(k, record...)
	default:
		return hash128{}, false
	}
	d.key = k
	return d.hash.hash(byIdentity, k), true
}

func (d *Delivery) refHash(space, ref string) hash128 {
	d.key = appendRef(d.key[:0], space, ref)
	return d.hash.hash(byIdentity, d.key)
}

func appendRef(k []byte, space, ref string) []byte {
	k = append(k, "r\x00"...)
	k = append(k, space...)
	k = append(k, 0)
	return append(k, ref...)
}

// addIndex adds the keys of a row to the parts of the index.
func (d *Delivery) addIndex(keys *rowKeys, ordinal uint32) error {
	for k := range indexKinds {
		if !keys.has[k] {
			continue
		}
		hash := &keys.of[k]
		b, err := d.index[k].room(int(hash[0]), k.entrySize())
		if err != nil {
			return err
		}
		n := copy(b, hash[:k.hashSize()])
		binary.LittleEndian.PutUint32(b[n:], ordinal)
		if k == byEmail {
			binary.LittleEndian.PutUint32(b[n+4:], keys.name)
			binary.LittleEndian.PutUint32(b[n+8:], keys.born)
		}
	}
	return nil
}

// holdingSize is dataset u16, mask u16, first u32, last u32.
const holdingSize = 12

// packHolding appends a holding in a dataset, which may be nil for one that is
// not known, or records why it cannot be.
func (d *Delivery) packHolding(b []byte, ds *deliveredDataset, h Holding, at Origin) ([]byte, error) {
	if ds == nil {
		d.Bad(at, "dataset", fmt.Sprintf("there is no dataset %q: add it to datasets.csv", clip(h.Dataset)))
		return nil, errSkip
	}
	set := uint32(h.Categories)
	if set == 0 {
		set = uint32(ds.declared)
	}
	if set == 0 {
		d.Bad(at, "categories", fmt.Sprintf("neither the row nor the dataset %q names a category of data", clip(h.Dataset)))
		return nil, errSkip
	}
	ds.Categories |= category.Set(set)
	last := &d.lastMasks[set*0x9e3779b1>>24]
	mask, known := last.mask, last.set == set
	if !known {
		mask, known = d.masks[set]
	}
	if !known {
		if len(d.sets) > math.MaxUint16 {
			return nil, fmt.Errorf("more than %d different sets of categories", math.MaxUint16)
		}
		mask = uint16(len(d.sets))
		d.masks[set] = mask
		d.sets = append(d.sets, set)
	}
	last.set, last.mask = set, mask
	if h.Last == 0 {
		h.Last = stillHeld
	}
	if h.Last < h.First {
		d.Bad(at, "last_seen", "the record ends before it begins")
		return nil, errSkip
	}
	ds.first = min(ds.first, h.First)
	ds.last = max(ds.last, h.Last)
	ds.touched = true
	d.report.Holdings++
	ds.arrived++
	b = binary.LittleEndian.AppendUint16(b, ds.id)
	b = binary.LittleEndian.AppendUint16(b, mask)
	b = binary.LittleEndian.AppendUint32(b, h.First)
	return binary.LittleEndian.AppendUint32(b, h.Last), nil
}

// HoldingOf adds a record of the person of an earlier row.
func (d *Delivery) HoldingOf(ordinal uint32, h Holding, at Origin) error {
	return d.holdingOf(ordinal, d.datasets[h.Dataset], h, at)
}

func (d *Delivery) holdingOf(ordinal uint32, ds *deliveredDataset, h Holding, at Origin) error {
	if len(d.row) > 0 && binary.LittleEndian.Uint32(d.row) == ordinal && len(d.row) < spillBlockSize/2 {
		row, err := d.packHolding(d.row, ds, h, at)
		if err != nil {
			return err
		}
		d.row = row
		binary.LittleEndian.PutUint16(d.row[4:], binary.LittleEndian.Uint16(d.row[4:])+1)
		return nil
	}
	b, err := d.packHolding(binary.LittleEndian.AppendUint32(d.buf[:0], ordinal), ds, h, at)
	if err != nil {
		return err
	}
	d.buf = b
	return d.byRow.add(0, b)
}

// Holding adds a record of the person with the organisation's number, who may
// be in this delivery or known before.
func (d *Delivery) Holding(space, ref string, h Holding, at Origin) error {
	hash := d.refHash(space, ref)
	b, err := d.packHolding(append(d.buf[:0], hash[:]...), d.datasets[h.Dataset], h, at)
	if err != nil {
		return err
	}
	b = binary.LittleEndian.AppendUint16(b, at.File)
	b = binary.LittleEndian.AppendUint32(b, at.Line)
	d.buf = b
	return d.byRef.add(int(hash[0]), b)
}

// clip shortens a word of the organisation's own for a message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
