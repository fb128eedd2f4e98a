package inventory

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"tocsin.dev/pkg/category"
)

// Limits of one delivery.
const (
	maxRows     = math.MaxUint32 - 1
	maxDatasets = math.MaxUint16
	maxErrors   = 1000 // listed; all are counted
	maxTerms    = math.MaxUint16
)

// System is a system of the organisation.
type System struct{ Key, Name, Note string }

// Dataset is one kind of record about people in one system.
type Dataset struct {
	Key, System, Name string
	Categories        category.Set
	Purpose           string
	RetentionMonths   int
	// Role is "controller" or "processor"; Controller is the partner's id for the latter.
	Role, Controller string
	// Medium is "electronic" or "paper".
	Medium string
}

// Holding says that a person has a record in a dataset.
type Holding struct {
	Dataset string
	// Categories is empty for all that the dataset holds.
	Categories category.Set
	// First and Last are the instants at which the record was first and last
	// held, in seconds since 1970; First 0 means since ever, Last 0 still held.
	First, Last uint32
}

// Origin is where a row came from.
type Origin struct {
	// File is an index into the names given to Delivery.File.
	File uint16
	Line uint32
}

// RowError is one fault in what was delivered. It never shows a value.
type RowError struct {
	File string `json:"file"`
	// Line counts from 1, the header included; 0 means the file as a whole.
	Line uint32 `json:"line,omitempty"`
	// Column is the name of the column; Field counts columns from 1 where known.
	Column  string `json:"column,omitempty"`
	Problem string `json:"problem"`
}

// Error implements error: "people.csv line 12, column email: …".
func (e RowError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, " line %d", e.Line)
	}
	if e.Column != "" {
		b.WriteString(", column " + e.Column)
	}
	return b.String() + ": " + e.Problem
}

// Report says what a delivery holds and what it changes.
type Report struct {
	People   int64 `json:"people"`   // rows about people
	New      int64 `json:"new"`      // people not known before
	Known    int64 `json:"known"`    // people known before
	Changed  int64 `json:"changed"`  // people known before of whom something changed; not known in a check
	Joined   int64 `json:"joined"`   // people found to be one with another
	Erased   int64 `json:"erased"`   // rows held back: the person was erased on request
	Holdings int64 `json:"holdings"` // rows about records in datasets
	// Records counts holdings by dataset.
	Records map[string]int64 `json:"records,omitempty"`
	Bad     int64            `json:"bad"`
	// Errors lists the first thousand faults.
	Errors   []RowError `json:"errors,omitempty"`
	Warnings []string   `json:"warnings,omitempty"`
	// Unchanged is set when the same delivery was taken in before.
	Unchanged bool `json:"unchanged,omitempty"`
	// Generation is the state of the inventory after it.
	Generation int64 `json:"generation"`
}

// ErrBadRows means that rows have faults and nothing was taken in; a person
// decides whether the good rows are to be taken in without them.
var ErrBadRows = errors.New("rows have faults, nothing was taken in")

// Delivery gathers the rows of one import. Nothing is visible before Commit
// returns. A Delivery serves one goroutine.
type Delivery struct {
	store *Store
	org   string
	token string
	head  head
	tree  *tree
	hash  *hasher
	tombs *tombstones

	files    []string
	systems  map[string]System
	datasets map[string]*deliveredDataset
	byID     []*deliveredDataset // by id
	masks    map[uint32]uint16
	sets     []uint32 // by mask index
	termIDs  [2]map[string]uint16

	rows uint32 // ordinals given
	// records holds the rows, by the first byte of the hash of their identity:
	// new people get their numbers in that order, so a part fills few chunks.
	records  *spill
	row      []byte // the last row, which may still get holdings
	rowPart  int
	index    [indexKinds]*spill
	byRef    *spill // holdings that name a person by hash
	byRow    *spill // holdings of the row with an ordinal
	guardian []guardianRef
	guarded  map[uint32]uint32 // ordinal → number of the guardian

	report  Report
	missing map[Origin]bool // lines already reported
	buf     []byte
	key     []byte
	closed  bool

	// Progress is called now and then with what is being done and how far it is, 0 to 1.
	Progress func(phase string, done float64)
}

type deliveredDataset struct {
	Dataset
	id          uint16
	known       bool // was there before
	touched     bool // defined by this delivery
	records     int64
	first, last uint32
}

type guardianRef struct {
	hash    hash128
	ordinal uint32
	origin  Origin
}

// Deliver opens a delivery. It makes the organisation's inventory if there is
// none and returns ErrBusy while another delivery or erasure is under way.
// The caller must Close it.
func (s *Store) Deliver(ctx context.Context, org, what string) (*Delivery, error) {
	if err := s.create(ctx, org); err != nil {
		return nil, err
	}
	token, err := s.occupy(ctx, org, what)
	if err != nil {
		return nil, err
	}
	d := &Delivery{store: s, org: org, token: token}
	if err := d.open(ctx); err != nil {
		s.release(ctx, org, token)
		return nil, err
	}
	return d, nil
}

func (d *Delivery) open(ctx context.Context) error {
	s := d.store
	var err error
	if d.head, err = readHead(ctx, s.db, d.org); err != nil {
		return err
	}
	if d.tree, err = s.tree(ctx, d.head); err != nil {
		return err
	}
	d.hash = d.tree.blind.hasher()
	if d.tombs, err = readTombstones(ctx, s.db, d.head); err != nil {
		return err
	}
	d.systems, d.datasets = map[string]System{}, map[string]*deliveredDataset{}
	d.masks, d.guarded, d.missing = map[uint32]uint16{}, map[uint32]uint32{}, map[Origin]bool{}
	d.report.Records = map[string]int64{}
	dir := s.cfg.TempDir
	if dir == "" {
		dir = os.TempDir()
	}
	d.records, d.byRef, d.byRow = newSpill(dir), newSpill(dir), newSpill(dir)
	for i := range d.index {
		d.index[i] = newSmallSpill(dir)
	}
	d.Progress = func(string, float64) {}
	for i, words := range [2][]string{d.head.terms.Jurisdictions, d.head.terms.Languages} {
		d.termIDs[i] = map[string]uint16{}
		for id, w := range words {
			d.termIDs[i][w] = uint16(id)
		}
		d.termIDs[i][""] = 0
	}
	return d.loadDatasets(ctx)
}

func (d *Delivery) loadDatasets(ctx context.Context) error {
	known, err := readDatasets(ctx, d.store.db, d.head)
	if err != nil {
		return err
	}
	d.byID = make([]*deliveredDataset, 1) // ids start at 1
	slices.SortFunc(known, func(a, b datasetRow) int { return cmp.Compare(a.id, b.id) })
	for _, k := range known {
		for len(d.byID) <= int(k.id) {
			d.byID = append(d.byID, nil)
		}
		e := &deliveredDataset{Dataset: k.Dataset, id: uint16(k.id), known: true, records: k.records, first: k.first, last: k.last}
		d.datasets[k.Key], d.byID[k.id] = e, e
	}
	return nil
}

// Close gives the inventory free and forgets what was not committed.
func (d *Delivery) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	d.store.release(context.Background(), d.org, d.token)
	err := errors.Join(d.records.close(), d.byRef.close(), d.byRow.close())
	for _, s := range d.index {
		err = errors.Join(err, s.close())
	}
	return err
}

// File names the next file; its rows carry the index returned.
func (d *Delivery) File(name string) uint16 {
	d.files = append(d.files, name)
	return uint16(len(d.files) - 1)
}

// Bad records a fault at a row.
func (d *Delivery) Bad(at Origin, column, problem string) {
	d.report.Bad++
	if len(d.report.Errors) < maxErrors {
		name := ""
		if int(at.File) < len(d.files) {
			name = d.files[at.File]
		}
		d.report.Errors = append(d.report.Errors, RowError{File: name, Line: at.Line, Column: column, Problem: problem})
	}
}

// Warn records something a person should know that is no fault.
func (d *Delivery) Warn(text string) {
	if len(d.report.Warnings) < 100 {
		d.report.Warnings = append(d.report.Warnings, text)
	}
}

// System adds or changes a system.
func (d *Delivery) System(s System) { d.systems[s.Key] = s }

// Dataset adds or changes a dataset. Its categories may grow with what its
// records hold.
func (d *Delivery) Dataset(ds Dataset) error {
	e := d.datasets[ds.Key]
	if e == nil {
		if len(d.byID) > maxDatasets {
			return fmt.Errorf("dataset %s: an inventory holds at most %d datasets", ds.Key, maxDatasets)
		}
		e = &deliveredDataset{id: uint16(len(d.byID)), first: stillHeld}
		d.datasets[ds.Key] = e
		d.byID = append(d.byID, e)
	}
	e.Dataset, e.touched = ds, true
	return nil
}

// HasDataset reports whether the dataset is known or was delivered.
func (d *Delivery) HasDataset(key string) bool { return d.datasets[key] != nil }

func (d *Delivery) term(list int, word string) (uint16, error) {
	if id, known := d.termIDs[list][word]; known {
		return id, nil
	}
	words := &d.head.terms.Jurisdictions
	if list == 1 {
		words = &d.head.terms.Languages
	}
	if len(*words) >= maxTerms {
		return 0, fmt.Errorf("more than %d different languages or countries", maxTerms)
	}
	id := uint16(len(*words))
	word = strings.Clone(word)
	*words = append(*words, word)
	d.termIDs[list][word] = id
	return id, nil
}

// Person adds a row about a person and returns its ordinal for HoldingOf.
func (d *Delivery) Person(p *Person, at Origin) (uint32, error) {
	if d.rows >= maxRows {
		return 0, fmt.Errorf("a delivery takes at most %d people", maxRows)
	}
	ordinal := d.rows
	attr, err := d.attribute(p)
	if err != nil {
		return 0, err
	}
	if err := d.flushRow(); err != nil {
		return 0, err
	}
	d.buf = binary.LittleEndian.AppendUint32(d.buf[:0], ordinal)
	d.buf = append(d.buf, 0, 0)
	d.buf = binary.LittleEndian.AppendUint16(d.buf, attr.jurisdiction)
	d.buf = binary.LittleEndian.AppendUint16(d.buf, attr.language)
	d.buf = binary.LittleEndian.AppendUint16(d.buf, attr.lastActive)
	d.buf = append(d.buf, attr.class, attr.channels, 0, 0)
	d.buf = p.encode(d.buf)
	size := len(d.buf) - rowHead - recordHead
	if size > maxRecord {
		d.Bad(at, "", fmt.Sprintf("the row holds %d bytes about one person; at most %d are kept", size, maxRecord))
		return 0, errSkip
	}
	binary.LittleEndian.PutUint16(d.buf[rowHead+attributeSize:], uint16(size))
	identity, ok := d.identity(p, d.buf[rowHead+recordHead:])
	if !ok {
		d.Bad(at, "", "nothing in this row says who it is about: give a person number, a name or an address")
		return 0, errSkip
	}
	if d.erased(p) {
		d.tombs.identities[identity] = true
		d.report.Erased++
		return 0, errSkip
	}
	d.row, d.rowPart = append(d.row[:0], d.buf...), int(identity[0])
	if err := d.addIndex(byIdentity, identity, ordinal, 0, 0); err != nil {
		return 0, err
	}
	if err := d.indexPerson(p, ordinal); err != nil {
		return 0, err
	}
	if p.GuardianRef != "" {
		d.guardian = append(d.guardian, guardianRef{hash: d.refHash(p.Space, p.GuardianRef), ordinal: ordinal, origin: at})
	}
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
	case p.Given != "" || p.Family != "" || p.Email != "" || p.Phone != "" || len(p.Address) > 0:
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

func (d *Delivery) indexPerson(p *Person, ordinal uint32) error {
	var nameTag uint32
	d.key = normalName(d.key[:0], p.Given, p.Family)
	if len(d.key) > 0 {
		name := d.hash.hash(byName, d.key)
		if err := d.addIndex(byName, name, ordinal, 0, 0); err != nil {
			return err
		}
		// The tag is cut from the part of the hash that the index does not keep.
		nameTag = max(1, binary.BigEndian.Uint32(name[8:]))
	}
	if p.Email != "" {
		d.key = normalEmail(d.key[:0], p.Email)
		name, born := nameTag, d.hash.bornTag(p.Born)
		if p.Unverified {
			name, born = 0, 0
		}
		if err := d.addIndex(byEmail, d.hash.hash(byEmail, d.key), ordinal, name, born); err != nil {
			return err
		}
	}
	if p.Phone != "" {
		d.key = append(d.key[:0], p.Phone...)
		if err := d.addIndex(byPhone, d.hash.hash(byPhone, d.key), ordinal, 0, 0); err != nil {
			return err
		}
	}
	if p.OfficialID != "" {
		d.key = append(d.key[:0], p.OfficialID...)
		return d.addIndex(byOfficial, d.hash.hash(byOfficial, d.key), ordinal, 0, 0)
	}
	return nil
}

func (d *Delivery) addIndex(k kindOfIndex, h hash128, ordinal, name, born uint32) error {
	e := entryOf(k, h)
	e.number, e.name, e.born = ordinal, name, born
	var buf [emailSize]byte
	return d.index[k].add(int(h[0]), k.append(buf[:0], e))
}

// holdingSize is dataset u16, mask u16, first u32, last u32.
const holdingSize = 12

// packHolding appends a holding, or records why it cannot be.
func (d *Delivery) packHolding(b []byte, h Holding, at Origin) ([]byte, error) {
	ds := d.datasets[h.Dataset]
	if ds == nil {
		d.Bad(at, "dataset", fmt.Sprintf("there is no dataset %q: add it to datasets.csv", clip(h.Dataset)))
		return nil, errSkip
	}
	set := uint32(h.Categories)
	if set == 0 {
		set = uint32(ds.Categories)
	}
	if set == 0 {
		d.Bad(at, "categories", fmt.Sprintf("neither the row nor the dataset %q names a category of data", clip(h.Dataset)))
		return nil, errSkip
	}
	ds.Categories |= category.Set(set)
	mask, known := d.masks[set]
	if !known {
		if len(d.sets) > math.MaxUint16 {
			return nil, fmt.Errorf("more than %d different sets of categories", math.MaxUint16)
		}
		mask = uint16(len(d.sets))
		d.masks[set] = mask
		d.sets = append(d.sets, set)
	}
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
	d.report.Records[ds.Key]++
	b = binary.LittleEndian.AppendUint16(b, ds.id)
	b = binary.LittleEndian.AppendUint16(b, mask)
	b = binary.LittleEndian.AppendUint32(b, h.First)
	return binary.LittleEndian.AppendUint32(b, h.Last), nil
}

// HoldingOf adds a record of the person of an earlier row.
func (d *Delivery) HoldingOf(ordinal uint32, h Holding, at Origin) error {
	if len(d.row) > 0 && binary.LittleEndian.Uint32(d.row) == ordinal && len(d.row) < spillBlockSize/2 {
		row, err := d.packHolding(d.row, h, at)
		if err != nil {
			return err
		}
		d.row = row
		binary.LittleEndian.PutUint16(d.row[4:], binary.LittleEndian.Uint16(d.row[4:])+1)
		return nil
	}
	b, err := d.packHolding(binary.LittleEndian.AppendUint32(d.buf[:0], ordinal), h, at)
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
	b, err := d.packHolding(append(d.buf[:0], hash[:]...), h, at)
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
