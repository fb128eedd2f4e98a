package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tocsin.dev/pkg/category"
)

// Every source, whatever its format, gives rows of text under named columns.
// This file turns such rows into what a Delivery takes.

// Mapping says how a source names and writes its columns. It is saved per
// source, so that an operator states it once.
type Mapping struct {
	// Kind is "systems", "datasets", "people" or "holdings"; empty is told from the columns.
	Kind string `json:"kind,omitempty" yaml:"kind,omitempty"`
	// Columns maps our names to those of the source.
	Columns map[string]string `json:"columns,omitempty" yaml:"columns,omitempty"`
	// Defaults are the values of columns that the source leaves empty or lacks.
	Defaults map[string]string `json:"defaults,omitempty" yaml:"defaults,omitempty"`
	// DateOrder is "dmy" or "mdy" for dates such as 03/04/2026.
	DateOrder string `json:"date_order,omitempty" yaml:"date_order,omitempty"`
	// Region is the ISO country of phone numbers without a country code.
	Region string `json:"region,omitempty" yaml:"region,omitempty"`
	// Delimiter of a CSV file; empty is told from the header.
	Delimiter string `json:"delimiter,omitempty" yaml:"delimiter,omitempty"`
}

// Kinds of table.
const (
	kindSystems  = "systems"
	kindDatasets = "datasets"
	kindPeople   = "people"
	kindHoldings = "holdings"
)

// Our columns. FORMAT.md explains them.
const (
	colPerson = iota
	colSpace
	colOfficial
	colGiven
	colFamily
	colEmail
	colVerified
	colPhone
	colFax
	colAddress1
	colAddress2
	colAddress3
	colPostcode
	colCity
	colRegion
	colCountry
	colLanguage
	colBorn
	colAge
	colRelation
	colPreference
	colOptOut
	colDeceased
	colGuardian
	colSource
	colLastActive
	colMovedOn
	colBefore
	colDataset
	colCategories
	colFirstSeen
	colLastSeen
	colKey
	colSystem
	colName
	colNote
	colPurpose
	colRetention
	colRole
	colController
	colMedium
	columnCount
)

var columnNames = [columnCount]string{
	"person", "space", "official_id", "given_name", "family_name", "email", "email_verified", "phone", "fax",
	"address1", "address2", "address3", "postcode", "city", "region", "country", "language", "born", "age_class", "relation",
	"preference", "opt_out", "deceased", "guardian", "source", "last_active", "moved_on", "previous_country",
	"dataset", "categories", "first_seen", "last_seen",
	"key", "system", "name", "note", "purpose", "retention_months", "role", "controller", "medium",
}

// maxField bounds one value; more is no name, address or list of categories.
const maxField = 32 << 10

// table takes the rows of one file.
type table struct {
	d      *Delivery
	reader *reader
	file   uint16
	kind   string
	// at maps our columns to places in a row, -1 for absent; defaults stand in.
	at       [columnCount]int
	defaults [columnCount]string
	headers  []string
	person   Person
	sets     map[string]category.Set
}

// newTable matches the header of a source with our columns.
func newTable(d *Delivery, name string, headers []string, m Mapping) (*table, error) {
	t := &table{d: d, reader: newReader(m), file: d.File(name), kind: m.Kind, headers: headers, sets: map[string]category.Set{}}
	ours := map[string]int{}
	for i, n := range columnNames {
		ours[n] = i
		t.at[i] = -1
		t.defaults[i] = m.Defaults[n]
	}
	theirs := map[string]int{}
	for our, their := range m.Columns {
		i, known := ours[our]
		if !known {
			return nil, fmt.Errorf("mapping of %s: there is no column %q of ours", name, clip(our))
		}
		theirs[normalHeader(their)] = i
	}
	seen := map[string]int{}
	for place, header := range headers {
		if problem := headerFault(header); problem != nil {
			return nil, fmt.Errorf("%s line 1, column %d: %w", name, place+1, problem)
		}
		h := normalHeader(header)
		if before, twice := seen[h]; twice {
			return nil, fmt.Errorf("%s line 1: columns %d and %d are both called %q; rename one of them", name, before+1, place+1, clip(h))
		}
		seen[h] = place
		i, known := theirs[h]
		if !known {
			i, known = ours[h]
		}
		if !known {
			if h != "" {
				d.Warn(fmt.Sprintf("%s: column %q is not used", name, clip(h)))
			}
			continue
		}
		if t.at[i] >= 0 {
			return nil, fmt.Errorf("%s line 1: columns %d and %d both stand for %q", name, t.at[i]+1, place+1, columnNames[i])
		}
		t.at[i] = place
	}
	for our, their := range m.Columns {
		if _, there := seen[normalHeader(their)]; !there {
			return nil, fmt.Errorf("%s line 1: the mapping takes %q from a column %q that is not there", name, our, clip(their))
		}
	}
	return t, t.tell(name)
}

func headerFault(header string) error {
	switch {
	case strings.IndexByte(header, 0) >= 0:
		return errUTF16
	case !utf8.ValidString(header):
		return errors.New("the name of the column is not UTF-8: save the file as UTF-8")
	}
	return nil
}

func normalHeader(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), " ", "_")
}

func (t *table) has(columns ...int) bool {
	return !slices.ContainsFunc(columns, func(c int) bool { return t.at[c] < 0 && t.defaults[c] == "" })
}

// tell finds the kind of table and what it lacks.
func (t *table) tell(name string) error {
	switch {
	case t.kind != "":
	case t.has(colKey, colSystem):
		t.kind = kindDatasets
	case t.has(colKey):
		t.kind = kindSystems
	case t.has(colPerson, colDataset) && !t.has(colGiven) && !t.has(colFamily) && !t.has(colEmail) && !t.has(colPhone):
		t.kind = kindHoldings
	default:
		t.kind = kindPeople
	}
	need := map[string][]int{kindSystems: {colKey}, kindDatasets: {colKey, colSystem}, kindHoldings: {colPerson, colDataset}, kindPeople: {}}
	columns, known := need[t.kind]
	if !known {
		return fmt.Errorf("mapping of %s: kind %q is none of systems, datasets, people, holdings", name, clip(t.kind))
	}
	for _, c := range columns {
		if !t.has(c) {
			return fmt.Errorf("%s line 1: a table of %s needs a column %q; its columns are %s", name, t.kind, columnNames[c], clip(strings.Join(t.headers, ", ")))
		}
	}
	if t.kind == kindPeople && !t.has(colPerson) && !t.has(colEmail) && !t.has(colFamily) && !t.has(colOfficial) && !t.has(colPhone) {
		return fmt.Errorf("%s line 1: a table of people needs a column person, email, phone, official_id or family_name; its columns are %s",
			name, clip(strings.Join(t.headers, ", ")))
	}
	return nil
}

// value returns the value of our column in a row, trimmed.
func (t *table) value(row []string, c int) string {
	if at := t.at[c]; at >= 0 && at < len(row) {
		if v := trim(row[at]); v != "" {
			return v
		}
	}
	return t.defaults[c]
}

func trim(s string) string {
	if s == "" || s[0] > ' ' && s[0] < utf8.RuneSelf && s[len(s)-1] > ' ' && s[len(s)-1] < utf8.RuneSelf {
		return s
	}
	return strings.TrimSpace(s)
}

// take takes one row. It returns an error only when nothing more can be taken.
func (t *table) take(row []string, line uint32) error {
	at := Origin{File: t.file, Line: line}
	for i, v := range row {
		if len(v) > maxField || !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
			t.d.Bad(at, t.header(i), valueFault(v))
			return nil
		}
	}
	var err error
	switch t.kind {
	case kindSystems:
		t.system(row, at)
	case kindDatasets:
		err = t.dataset(row, at)
	case kindHoldings:
		err = t.holding(row, at)
	default:
		err = t.people(row, at)
	}
	if errors.Is(err, errSkip) {
		return nil
	}
	return err
}

func valueFault(v string) string {
	switch {
	case len(v) > maxField:
		return fmt.Sprintf("the value is %d bytes long; at most %d are taken: is a quote not closed?", len(v), maxField)
	case !utf8.ValidString(v):
		return errEncoding.Error()
	}
	return "the text holds a NUL character"
}

func (t *table) header(i int) string {
	if i < len(t.headers) {
		return t.headers[i]
	}
	return strconv.Itoa(i + 1)
}

func (t *table) bad(at Origin, c int, problem error) {
	name := columnNames[c]
	if t.at[c] >= 0 {
		name = t.headers[t.at[c]]
	}
	t.d.Bad(at, name, problem.Error())
}

func (t *table) system(row []string, at Origin) {
	s := System{Key: t.value(row, colKey), Name: t.value(row, colName), Note: t.value(row, colNote)}
	if s.Key == "" {
		t.bad(at, colKey, errors.New("a system needs a key"))
		return
	}
	t.d.System(s)
}

func (t *table) dataset(row []string, at Origin) error {
	ds := Dataset{
		Key: t.value(row, colKey), System: t.value(row, colSystem), Name: t.value(row, colName), Purpose: t.value(row, colPurpose),
		Role: t.value(row, colRole), Controller: t.value(row, colController), Medium: t.value(row, colMedium),
	}
	if ds.Role == "" {
		ds.Role = "controller"
	}
	if ds.Medium == "" {
		ds.Medium = "electronic"
	}
	var err error
	switch {
	case ds.Key == "":
		t.bad(at, colKey, errors.New("a dataset needs a key"))
		return nil
	case ds.Role != "controller" && ds.Role != "processor":
		t.bad(at, colRole, errors.New("neither controller nor processor"))
		return nil
	case ds.Role == "processor" && ds.Controller == "":
		t.bad(at, colController, errors.New("name the partner for whom the data are processed"))
		return nil
	case ds.Medium != "electronic" && ds.Medium != "paper":
		t.bad(at, colMedium, errors.New("neither electronic nor paper"))
		return nil
	}
	if ds.Categories, err = t.categories(t.value(row, colCategories)); err != nil {
		t.bad(at, colCategories, err)
		return nil
	}
	if v := t.value(row, colRetention); v != "" {
		if ds.RetentionMonths, err = strconv.Atoi(v); err != nil || ds.RetentionMonths < 0 || ds.RetentionMonths > 1200 {
			t.bad(at, colRetention, errors.New("not a number of months from 0 to 1200"))
			return nil
		}
	}
	return t.d.Dataset(ds)
}

// categories reads keys separated by spaces, commas, semicolons or bars.
func (t *table) categories(s string) (category.Set, error) {
	if s == "" {
		return 0, nil
	}
	if set, known := t.sets[s]; known {
		return set, nil
	}
	set, err := category.ParseAll(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '|' }))
	if err != nil {
		return 0, err
	}
	t.sets[strings.Clone(s)] = set
	return set, nil
}

func (t *table) holding(row []string, at Origin) error {
	ref := t.value(row, colPerson)
	if ref == "" {
		t.bad(at, colPerson, errors.New("the row names nobody"))
		return nil
	}
	h, err := t.held(row, at)
	if err != nil {
		return err
	}
	return t.d.Holding(t.value(row, colSpace), ref, h, at)
}

// held reads the dataset, categories and instants of a row.
func (t *table) held(row []string, at Origin) (Holding, error) {
	h := Holding{Dataset: t.value(row, colDataset)}
	var err error
	if h.Categories, err = t.categories(t.value(row, colCategories)); err != nil {
		t.bad(at, colCategories, err)
		return h, errSkip
	}
	if v := t.value(row, colFirstSeen); v != "" {
		if h.First, err = t.reader.instant(v, false); err != nil {
			t.bad(at, colFirstSeen, err)
			return h, errSkip
		}
	}
	if v := t.value(row, colLastSeen); v != "" {
		if h.Last, err = t.reader.instant(v, true); err != nil {
			t.bad(at, colLastSeen, err)
			return h, errSkip
		}
	}
	return h, nil
}

// people takes a row about a person, and about a record of theirs if it names a
// dataset. A fault in one field is recorded; the person is still taken, without
// that field, if somebody decides to take in the rest: nobody is to be lost
// because of a wrong phone number.
func (t *table) people(row []string, at Origin) error {
	p := &t.person
	p.reset()
	p.Ref, p.Space, p.OfficialID = t.value(row, colPerson), t.value(row, colSpace), t.value(row, colOfficial)
	p.Given, p.Family = t.value(row, colGiven), t.value(row, colFamily)
	p.GuardianRef, p.Source = t.value(row, colGuardian), t.value(row, colSource)
	t.place(row, at)
	t.reachable(row, at)
	t.words(row, at)
	t.dates(row, at)
	if t.value(row, colDataset) == "" {
		_, err := t.d.Person(p, at)
		return err
	}
	h, err := t.held(row, at)
	if err != nil {
		return err
	}
	ordinal, err := t.d.Person(p, at)
	if err != nil {
		return err
	}
	return t.d.HoldingOf(ordinal, h, at)
}
