package print

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEachFaxIsAFileOfItsOwnAndTheListNamesNumbersAlone(t *testing.T) {
	dir := t.TempDir()
	faxes := []Letter{
		{Code: "T7-0-AAAAA", Reference: "AAAAA-BBBBB", Name: "Åsa Öberg", Fax: "+46846500412", Subject: "Om dina uppgifter", Text: "Hej", Language: "sv"},
		{Code: "T7-1-CCCCC", Reference: "CCCCC-DDDDD", Name: "Ann O'Neil", Fax: "+441632960001", Text: "Hello", Language: "en-GB"},
	}
	if err := WriteFaxes(dir, "x", Sender{Name: "Vardag"}, faxes); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "x.csv"))
	if err != nil || !Exists(dir, "x") {
		t.Fatal(err)
	}
	want := "number,code,fax,file,language,reference\n" +
		"1,T7-0-AAAAA,+46846500412,x/T7-0-AAAAA.pdf,sv,AAAAA-BBBBB\n2,T7-1-CCCCC,+441632960001,x/T7-1-CCCCC.pdf,en-GB,CCCCC-DDDDD\n"
	if string(list) != want {
		t.Errorf("list = %s", list)
	}
	for _, f := range faxes {
		path := filepath.Join(dir, "x", f.Code+".pdf")
		pdf, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(pdf), "%PDF-") {
			t.Errorf("%s: %v", f.Code, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is readable by others", f.Code)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*.part")); len(left) > 0 {
		t.Errorf("half-written files are left: %v", left)
	}
}

func BenchmarkFaxFile(b *testing.B) {
	dir := b.TempDir()
	one := []Letter{{Code: "T7-0-AAAAA", Name: "Åsa Öberg", Fax: "+46846500412", Subject: "Om dina uppgifter", Text: strings.Repeat("Någon har läst dina uppgifter. ", 60)}}
	for b.Loop() {
		if err := WriteFaxes(dir, "x", Sender{Name: "Vardag"}, one); err != nil {
			b.Fatal(err)
		}
	}
}
