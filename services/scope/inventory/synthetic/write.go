package synthetic

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/services/scope/inventory"
)

// Write writes the set as systems.csv, datasets.csv, people.csv and
// holdings.csv into a folder, which is made if need be.
func (s *Set) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write synthetic people: %w", err)
	}
	if err := s.writeCatalogue(dir); err != nil {
		return fmt.Errorf("write synthetic people: %w", err)
	}
	if err := s.writePeople(dir); err != nil {
		return fmt.Errorf("write synthetic people: %w", err)
	}
	return nil
}

// file is a CSV file being written.
type file struct {
	f   *os.File
	buf *bufio.Writer
	csv *csv.Writer
}

func create(dir, name string, header ...string) (*file, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	buf := bufio.NewWriterSize(f, 1<<20)
	w := &file{f: f, buf: buf, csv: csv.NewWriter(buf)}
	return w, w.csv.Write(header)
}

func (w *file) close() error {
	w.csv.Flush()
	return errors.Join(w.csv.Error(), w.buf.Flush(), w.f.Close())
}

func (s *Set) writeCatalogue(dir string) (err error) {
	systems, err := create(dir, "systems.csv", "key", "name")
	if err != nil {
		return err
	}
	for _, x := range s.Systems() {
		err = errors.Join(err, systems.csv.Write([]string{x.Key, x.Name}))
	}
	if err := errors.Join(err, systems.close()); err != nil {
		return err
	}
	datasets, err := create(dir, "datasets.csv", "key", "system", "name", "categories", "purpose", "retention_months", "role", "controller", "medium")
	if err != nil {
		return err
	}
	for _, d := range s.Datasets() {
		months := ""
		if d.RetentionMonths > 0 {
			months = strconv.Itoa(d.RetentionMonths)
		}
		err = errors.Join(err, datasets.csv.Write([]string{d.Key, d.System, d.Name, strings.Join(d.Categories.Keys(), " "), d.Purpose, months, d.Role, d.Controller, d.Medium}))
	}
	return errors.Join(err, datasets.close())
}

func (s *Set) writePeople(dir string) (err error) {
	people, err := create(dir, "people.csv", "person", "given_name", "family_name", "email", "phone", "address1", "postcode", "city", "region", "country",
		"language", "born", "age_class", "relation", "preference", "opt_out", "deceased", "guardian", "source", "last_active", "fax")
	if err != nil {
		return err
	}
	holdings, err := create(dir, "holdings.csv", "person", "dataset", "first_seen", "last_seen")
	if err != nil {
		return errors.Join(err, people.close())
	}
	err = s.Each(func(_ int, row *Row) error {
		err := people.csv.Write(row.fields())
		for _, h := range row.Holdings {
			err = errors.Join(err, holdings.csv.Write([]string{row.Ref, h.Dataset, instant(h.First), instant(h.Last)}))
		}
		return err
	})
	return errors.Join(err, people.close(), holdings.close())
}

func (row *Row) fields() []string {
	phone := row.Phone
	if row.PhoneText != "" {
		phone = row.PhoneText
	}
	street := ""
	if len(row.Address) > 0 {
		street = row.Address[0]
	}
	city, postcode := row.City, row.Postcode
	if row.Country == "" || row.Relation == "device_only" {
		city, postcode = "", ""
	}
	return []string{row.Ref, row.Given, row.Family, row.Email, phone, street, postcode, city, row.Region, row.Country,
		row.Language, day(row.Born), row.AgeClass, row.Relation, row.Preference, yes(row.OptOut), yes(row.Deceased), row.GuardianRef, row.Source, active(row.LastActive), row.Fax}
}

func instant(sec uint32) string {
	if sec == 0 {
		return ""
	}
	return time.Unix(int64(sec), 0).UTC().Format(time.RFC3339)
}

func day(d inventory.Day) string {
	if d == 0 {
		return ""
	}
	return d.Time().Format(time.DateOnly)
}

func active(days uint16) string {
	if days == 0 {
		return ""
	}
	return time.Unix(int64(days)*86400, 0).UTC().Format(time.DateOnly)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// WriteBulk writes the set in the bulk form.
func (s *Set) WriteBulk(w io.Writer) error {
	b, err := inventory.NewBulkWriter(w)
	if err != nil {
		return fmt.Errorf("write synthetic people: %w", err)
	}
	for _, x := range s.Systems() {
		err = errors.Join(err, b.System(x))
	}
	for _, d := range s.Datasets() {
		err = errors.Join(err, b.Dataset(d))
	}
	err = errors.Join(err, s.Each(func(_ int, row *Row) error {
		row.finishAddress()
		return b.Person(&row.Person, row.Holdings)
	}), b.Close())
	if err != nil {
		return fmt.Errorf("write synthetic people: %w", err)
	}
	return nil
}
