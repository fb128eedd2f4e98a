// Package print makes the files with which a printer sends letters: a PDF with
// one letter after the other, and a CSV list that names each with the code to
// give back when it was posted or came back. For a fax gateway it makes a PDF
// for each fax and a list of numbers (fax.go). What became of either is read in
// the words of outcome.go.
//
// The files hold names and addresses: they are the hand-over to the printer,
// written readable by their owner only, and removed when the printer has them.
// PDF is made with go-pdf/fpdf and an embedded Unicode font (DejaVu Sans
// Condensed), because the PDF core fonts lack most of Europe's letters.
package print

import (
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"codeberg.org/go-pdf/fpdf"
)

//go:embed font/DejaVuSansCondensed.ttf
var font []byte

// Letter is one letter.
type Letter struct {
	// Code is printed on the letter and stands in the list: the printer gives it
	// back with proof of posting, and it stands on returned letters.
	Code string
	// Reference is what the person may quote.
	Reference string
	Name      string
	Address   []string
	Subject   string
	Text      string
	// Language is a BCP 47 tag.
	Language string
	// Fax is the number in E.164; only faxes have it.
	Fax string
}

// Sender is what stands at the top of every letter.
type Sender struct{ Name, Address string }

// Write writes the letters as <name>.pdf and <name>.csv into a folder, the list
// last and each in one step, so that a list without its letters cannot be.
// Writing the same name again replaces both.
func Write(dir, name string, from Sender, letters []Letter) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("print files: %w", err)
	}
	if err := file(filepath.Join(dir, name+".pdf"), func(w io.Writer) error { return PDF(w, from, letters) }); err != nil {
		return err
	}
	return file(filepath.Join(dir, name+".csv"), func(w io.Writer) error { return List(w, letters) })
}

// Exists reports whether a print file was written completely.
func Exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name+".csv"))
	return err == nil
}

func file(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("print file: %w", err)
	}
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("print file %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("print file: %w", err)
	}
	return nil
}

// List writes the letters as CSV: number, code, name, six lines of address, language, reference.
func List(w io.Writer, letters []Letter) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"number", "code", "name", "line1", "line2", "line3", "line4", "line5", "line6", "language", "reference"}}
	for i, l := range letters {
		row := []string{strconv.Itoa(i + 1), l.Code, plain(l.Name)}
		for j := range 6 {
			line := ""
			if j < len(l.Address) {
				line = plain(l.Address[j])
			}
			row = append(row, line)
		}
		rows = append(rows, append(row, l.Language, l.Reference))
	}
	return c.WriteAll(rows)
}

// plain keeps a value from being read as a formula by a spreadsheet.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// PDF writes one letter after the other on A4, the address where a window
// envelope (DL, left) shows it, and the code at the foot of every page.
func PDF(w io.Writer, from Sender, letters []Letter) error {
	p := fpdf.New("P", "mm", "A4", "")
	p.AddUTF8FontFromBytes("text", "", font)
	p.SetMargins(25, 20, 20)
	p.SetAutoPageBreak(true, 25)
	p.SetTitle("Letters", true)
	p.SetCreator("Tocsin", true)
	code := ""
	p.SetFooterFunc(func() {
		p.SetY(-15)
		p.SetFont("text", "", 8)
		p.CellFormat(0, 5, code, "", 0, "R", false, 0, "")
	})
	for _, l := range letters {
		p.AddPage()
		code = l.Code
		page(p, from, l)
	}
	if err := p.Output(w); err != nil {
		return fmt.Errorf("write PDF: %w", err)
	}
	return nil
}

func page(p *fpdf.Fpdf, from Sender, l Letter) {
	p.SetFont("text", "", 8)
	p.CellFormat(0, 4, from.Name+", "+from.Address, "", 1, "L", false, 0, "")
	p.SetFont("text", "", 11)
	p.SetXY(25, 50)
	for _, line := range append([]string{l.Name}, l.Address...) {
		if line != "" {
			p.CellFormat(85, 5.5, line, "", 1, "L", false, 0, "")
		}
	}
	p.SetXY(25, 98)
	if l.Subject != "" {
		p.SetFont("text", "", 13)
		p.MultiCell(0, 6.5, l.Subject, "", "L", false)
		p.Ln(4)
		p.SetFont("text", "", 11)
	}
	p.MultiCell(0, 5.5, l.Text, "", "L", false)
}
