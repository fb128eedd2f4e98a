package print

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"testing"
)

func letters() []Letter {
	return []Letter{
		{Code: "T1-0-ABCDE", Name: "Åsa Öberg", Address: []string{"Långgatan 1", "211 34 Malmö", "Sweden"}, Subject: "Om dina uppgifter", Text: "Hej Åsa,\n\nZażółć gęślą jaźń, Ελληνικά.", Language: "sv"},
		{Code: "T1-1-FGHJK", Name: "=cmd()", Address: []string{"1 High St", "London"}, Text: "Dear", Language: "en"},
	}
}

func TestTheListNamesEveryLetterAndHoldsNoFormula(t *testing.T) {
	var b bytes.Buffer
	if err := List(&b, letters()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || rows[1][1] != "T1-0-ABCDE" || rows[1][4] != "211 34 Malmö" || rows[2][2] != "'=cmd()" {
		t.Errorf("list = %q", rows)
	}
}

func TestPrintFilesAreCompleteAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "print")
	if Exists(dir, "x") {
		t.Error("a file exists before it is written")
	}
	if err := Write(dir, "x", Sender{"Vardag", "Gatan 2"}, letters()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.pdf", "x.csv"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if !Exists(dir, "x") {
		t.Error("the written file is not found")
	}
}
