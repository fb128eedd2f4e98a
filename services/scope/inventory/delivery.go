package inventory

import (
	"cmp"
	"context"
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

	files     []string
	systems   map[string]System
	datasets  map[string]*deliveredDataset
	byID      []*deliveredDataset // by id
	masks     map[uint32]uint16
	lastMasks [256]struct { // of masks, found without it
		set  uint32 // never 0
		mask uint16
	}
	sets      []uint32 // by mask index
	termIDs   [2]map[string]uint16
	lastTerms [2][1 << termBits]term

	rows uint32 // ordinals given
	// records holds the rows, by the first byte of the hash of their identity:
	// new people get their numbers in that order, so a part fills few chunks.
	records  *spill
	row      []byte // the last row, which may still get holdings
	rowPart  int
	nextRow  []byte // the memory of the next
	keys     rowKeys
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
	id uint16
	// declared is what a record that names no categories holds. The categories of
	// the dataset grow with those that do, in whatever order they come.
	declared    category.Set
	known       bool // was there before
	touched     bool // defined by this delivery
	records     int64
	arrived     int64 // in this delivery
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
	if d.head, err = s.readHead(ctx, s.db, d.org); err != nil {
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
		e := &deliveredDataset{Dataset: k.Dataset, id: uint16(k.id), declared: k.declared, known: true, records: k.records, first: k.first, last: k.last}
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
	e.declared = ds.Categories
	ds.Categories |= e.Categories
	e.Dataset, e.touched = ds, true
	return nil
}

// HasDataset reports whether the dataset is known or was delivered.
func (d *Delivery) HasDataset(key string) bool { return d.datasets[key] != nil }
