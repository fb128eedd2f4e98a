package print

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// WriteFaxes writes each fax as <name>/<code>.pdf and then their list as
// <name>.csv into a folder, each in one step and the list last, so that a
// gateway that takes up a list finds every file it names.
func WriteFaxes(dir, name string, from Sender, faxes []Letter) error {
	if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
		return fmt.Errorf("fax files: %w", err)
	}
	for _, f := range faxes {
		one := []Letter{Faxed(f)}
		if err := file(filepath.Join(dir, name, f.Code+".pdf"), func(w io.Writer) error { return PDF(w, from, one) }); err != nil {
			return err
		}
	}
	return file(filepath.Join(dir, name+".csv"), func(w io.Writer) error { return FaxList(w, name, faxes) })
}

// Faxed is a letter as it goes by fax: the number stands where the postal
// address would.
func Faxed(l Letter) Letter {
	l.Address = []string{"Fax " + l.Fax}
	return l
}

// FaxList writes the faxes as CSV: number, code, fax number in E.164, the file
// below the folder of the list, language, reference. It names nobody: a gateway
// needs numbers alone.
func FaxList(w io.Writer, name string, faxes []Letter) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"number", "code", "fax", "file", "language", "reference"}}
	for i, f := range faxes {
		rows = append(rows, []string{strconv.Itoa(i + 1), f.Code, f.Fax, name + "/" + f.Code + ".pdf", f.Language, f.Reference})
	}
	return c.WriteAll(rows)
}
