package inventory

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"tocsin.dev/pkg/event"
)

// sealAll imports sources and returns the digest of the list of everybody.
func sealAll(t *testing.T, sources []Source) Sealed {
	t.Helper()
	s := openStore(t, sqlite(t))
	mustImport(t, s, "vardag", sources)
	sealed, err := s.Seal(t.Context(), "vardag", "c", "st", autumn(), Policy{})
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func fileSource(t *testing.T, name string, content []byte, m Mapping) Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := File(path, m)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func catalogueSources() []Source {
	return []Source{Text("systems.csv", systemsCSV, Mapping{}), Text("datasets.csv", datasetsCSV, Mapping{})}
}

// parquetPerson is a row of a Parquet file about a person and a record.
type parquetPerson struct {
	ID      string    `parquet:"id"`
	Given   string    `parquet:"given_name,optional"`
	Family  string    `parquet:"family_name,optional"`
	Email   *string   `parquet:"email,optional"`
	Country string    `parquet:"country,optional"`
	Born    *int32    `parquet:"born,optional,date"`
	Dataset string    `parquet:"dataset"`
	First   time.Time `parquet:"first_seen,timestamp(millisecond)"`
}

func TestEveryFormatGivesTheSameList(t *testing.T) {
	csvText := "person,given_name,family_name,email,country,born,dataset,first_seen\n" +
		"1,Åsa,Ek,asa@example.test,SE,1980-02-03,crm.customers,2024-01-01\n2,Bo,Öberg,,GB,,shop.orders,2025-06-01\n"
	want := sealAll(t, append(catalogueSources(), Text("list.csv", csvText, Mapping{})))
	if want.People != 2 {
		t.Fatalf("people %d", want.People)
	}
	semicolons := "\ufeff" + strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(csvText, ",", ";"), "\n", "\r\n"), "1980-02-03", "03.02.1980")
	lines := `{"id":1,"name":{"given":"Åsa","family":"Ek"},"email":"asa@example.test","country":"SE","born":"1980-02-03","dataset":"crm.customers","first_seen":"2024-01-01T00:00:00Z"}
{"id":"2","name":{"given":"Bo","family":"Öberg"},"country":"UK","email":null,"dataset":"shop.orders","first_seen":"2025-06-01"}
`
	names := Mapping{Columns: map[string]string{"person": "id", "given_name": "name.given", "family_name": "name.family"}}
	for name, source := range map[string]Source{
		"semicolons, BOM, CR LF, dotted dates": fileSource(t, "list.csv", []byte(semicolons), Mapping{}),
		"lone carriage returns":                fileSource(t, "list.csv", []byte(strings.ReplaceAll(csvText, "\n", "\r")), Mapping{}),
		"NDJSON":                               fileSource(t, "list.ndjson", []byte(lines), names),
		"Parquet":                              fileSource(t, "list.parquet", parquetBytes(t), Mapping{Columns: map[string]string{"person": "id"}}),
		"SQL":                                  Query("list", "sqlite:"+sqlTable(t), `SELECT * FROM people`, Mapping{Columns: map[string]string{"person": "id"}}),
	} {
		if got := sealAll(t, append(catalogueSources(), source)); got.Digest != want.Digest {
			t.Errorf("%s: the list differs (%d people)", name, got.People)
		}
	}
}

func parquetBytes(t *testing.T) []byte {
	t.Helper()
	email := "asa@example.test"
	born := int32(3685) // 1980-02-03
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[parquetPerson](&buf)
	_, err := w.Write([]parquetPerson{
		{"1", "Åsa", "Ek", &email, "SE", &born, "crm.customers", time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"2", "Bo", "Öberg", nil, "GB", nil, "shop.orders", time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func sqlTable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source.db")
	fillTable(t, "sqlite", path)
	return path
}

// fillTable writes the table that the other formats hold to a database.
func fillTable(t *testing.T, driver, address string) {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`CREATE TABLE people (id INTEGER, given_name TEXT, family_name TEXT, email TEXT, country TEXT, born TEXT, dataset TEXT, first_seen TEXT)`,
		`INSERT INTO people VALUES (1, 'Åsa', 'Ek', 'asa@example.test', 'SE', '1980-02-03', 'crm.customers', '2024-01-01 00:00:00'),
			(2, 'Bo', 'Öberg', NULL, 'GB', NULL, 'shop.orders', '2025-06-01')`,
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFidesDataMapGivesTheCatalogue(t *testing.T) {
	data := `
system:
  - fides_key: shop_system
    name: Web shop
    privacy_declarations:
      - {data_use: essential.service, dataset_references: [shop]}
dataset:
  - fides_key: shop
    name: Shop
    collections:
      - name: customers
        fields:
          - {name: email, data_categories: [user.contact.email]}
          - name: profile
            fields: [{name: first, data_categories: [user.name.first]}, {name: created, data_categories: [system.operations]}]
`
	s := openStore(t, sqlite(t))
	mustImport(t, s, "vardag", []Source{fileSource(t, "map.yaml", []byte(data), Mapping{})})
	a, err := s.Inventory(t.Context(), "vardag")
	if err != nil || len(a.Systems) != 1 || a.Systems[0].Datasets[0].Key != "shop.customers" ||
		strings.Join(a.Systems[0].Datasets[0].Categories, " ") != "user.name user.contact.email" || a.Systems[0].Datasets[0].Purpose != "essential.service" {
		t.Errorf("inventory %+v, %v", a, err)
	}
}

func TestAFileThatCannotBeTakenIsRefusedWithFileAndLine(t *testing.T) {
	long := strings.Repeat("x", 5<<20)
	for name, c := range map[string]struct{ file, text, want string }{
		"duplicate header":  {"people.csv", "person,email,Email\n", "people.csv line 1: columns 2 and 3 are both called"},
		"unclosed quote":    {"people.csv", "person,email\n1,a@example.test\n2,\"b@example.test\n3,c\n", "people.csv line 3"},
		"endless quote":     {"people.csv", "person,email\n1,\"" + long, "people.csv line 2"},
		"bare quote":        {"people.csv", "person,email\n1,a\"b\"@example.test\n", "people.csv line 2, column 4"},
		"UTF-16":            {"people.csv", "\xff\xfep\x00", "UTF-16"},
		"empty":             {"people.csv", "", "empty"},
		"no useful column":  {"people.csv", "shoe,size\n", "needs a column"},
		"half a row":        {"people.csv", "person,email,country\n1,a@example.test,SE\n2,b@exa", "people.csv line 3: the row has 2 columns"},
		"Latin-1":           {"people.csv", "person,given_name\n1,\xc5sa\n", "line 2, column given_name: the text is not UTF-8"},
		"Latin-1 header":    {"people.csv", "person,f\xf6rnamn\n1,a\n", "people.csv line 1, column 2: the name of the column is not UTF-8"},
		"Latin-1 NDJSON":    {"people.ndjson", "{\"person\":\"1\",\"given_name\":\"\xc5sa\"}\n", "people.ndjson line 1: the text is not UTF-8"},
		"UTF-16 NDJSON":     {"people.ndjson", "\xff\xfe{\x00}\x00", "UTF-16"},
		"UTF-16, no mark":   {"people.csv", "p\x00e\x00,\x00", "UTF-16"},
		"name given twice":  {"people.ndjson", "{\"person\":\"1\"}\n{\"person\":\"2\",\"person\":\"3\"}\n", "people.ndjson line 2: the name \"person\" is there twice"},
		"large field":       {"people.csv", "person,given_name\n1," + strings.Repeat("y", 1<<20) + "\n", "line 2, column given_name: the value is"},
		"large, quoted":     {"people.csv", "person,given_name\n1,\"" + strings.Repeat("y\n", 1<<19) + "\"\n2,b,c\n", "people.csv line 2, column given_name: the value is"},
		"line after it":     {"people.csv", "person,given_name\n1,\"" + strings.Repeat("y\n", 1<<19) + "\"\n2,b,c\n", "people.csv line 524291: the row has 3 columns"},
		"large in NDJSON":   {"people.ndjson", "{\"person\":\"1\",\"given_name\":\"" + strings.Repeat("y", 1<<20) + "\"}\n", "line 1, column given_name: the value is"},
		"short phone":       {"people.csv", "person,phone,country\n1,112,SE\n", "line 2, column phone: not a possible phone number"},
		"letters for phone": {"people.csv", "person,phone,country\n1,call me,GB\n", "line 2, column phone: not a possible phone number"},
		"endless phone":     {"people.csv", "person,phone\n1,+4412345678901234567\n", "line 2, column phone: not a possible phone number"},
		"cut NDJSON":        {"people.ndjson", "{\"person\":\"1\"}\n{\"person\":\"2\",\"ema", "people.ndjson line 2"},
		"not Parquet":       {"people.parquet", "PAR1 and no more", "not a whole Parquet file"},
		"cut bulk file":     {"people.tocsin", "TOCSIN1\nP\x20abc", "cut off"},
		"unknown ref":       {"holdings.csv", "person,dataset\nX1,crm.customers\n", "holdings.csv line 2, column person"},
		"ambiguous date":    {"people.csv", "person,born\n1,03/04/1980\n", "line 2, column born: the date may be read in two ways"},
		"impossible date":   {"people.csv", "person,born\n1,2023-02-29\n", "line 2, column born: not a date"},
		"impossible phone":  {"people.csv", "person,phone\n1,+46abc\n", "line 2, column phone: not a possible phone number"},
		"unknown dataset":   {"people.csv", "person,dataset\n1,nowhere\n", "there is no dataset"},
		"unknown category":  {"people.csv", "person,dataset,categories\n1,crm.customers,shoe.size\n", "column categories"},
		"end before begin":  {"people.csv", "person,dataset,first_seen,last_seen\n1,crm.customers,2025-01-01,2024-01-01\n", "ends before it begins"},
		"nobody in the row": {"people.csv", "person,email\n,\n", "nothing in this row says who it is about"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, sqlite(t))
			mustImport(t, s, "vardag", catalogueSources())
			r, err := s.Import(t.Context(), "vardag", []Source{fileSource(t, c.file, []byte(c.text), Mapping{})}, Options{})
			if err == nil {
				t.Fatal("taken in")
			}
			all := err.Error()
			for _, e := range r.Errors {
				all += "\n" + e.Error()
			}
			if !strings.Contains(all, c.want) {
				t.Errorf("no %q in: %.300s", c.want, all)
			}
			if a, err := s.Inventory(t.Context(), "vardag"); err != nil || a.People != 0 || a.Busy != "" {
				t.Errorf("the inventory is not as before: %+v, %v", a, err)
			}
		})
	}
}

func TestQuotesAndMixedLineEndsAreReadAsMeant(t *testing.T) {
	s := openStore(t, sqlite(t))
	mixed := "\ufeffperson,given_name,address1,dataset\r\n" +
		"1,\"Anna \"\"Ann\"\" Ek\",\"The Mill\nLane, 3\",a\n" +
		"2,Bo,\"2, High Street\",a\r" +
		"\r\n" + // an empty line is nobody
		"3,Cid,\" Yard\r\n4 \",a" // the last line has no end
	r := mustImport(t, s, "vardag", []Source{oneDataset(), fileSource(t, "people.csv", []byte(mixed), Mapping{})})
	if r.New != 3 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "the last line has no end") {
		t.Errorf("report %+v", r)
	}
	if _, err := s.Seal(t.Context(), "vardag", "c", "st", everybody(), Policy{}); err != nil {
		t.Fatal(err)
	}
	a, err := s.Contacts(t.Context(), event.ContactsQuestion{Org: "vardag", Case: "c", Revision: 1, To: 10})
	if err != nil {
		t.Fatal(err)
	}
	var read []string
	for _, c := range a.Contacts {
		read = append(read, c.GivenName.Reveal()+" at "+c.Address[0].Reveal())
	}
	slices.Sort(read)
	if diff := cmp.Diff([]string{`Anna "Ann" Ek at The Mill` + "\nLane, 3", "Bo at 2, High Street", "Cid at Yard\n4"}, read); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAFileCutOffAnywhereIsNeverTakenInUnremarked(t *testing.T) {
	whole := "person,given_name,email,dataset\n1,\"Åsa, Ek\",asa@example.test,crm.customers\n2,Bo,bo@example.test,shop.orders\n"
	s := openStore(t, sqlite(t))
	mustImport(t, s, "vardag", catalogueSources())
	for n := range len(whole) {
		r, err := s.Import(t.Context(), "vardag", []Source{Text("people.csv", whole[:n], Mapping{})}, Options{Check: true})
		atLineEnd := n > 0 && whole[n-1] == '\n'
		if err == nil && r.Bad == 0 && len(r.Warnings) == 0 && !atLineEnd {
			t.Errorf("cut after byte %d, %q: %+v", n, whole[max(0, n-12):n], r)
		}
	}
}

func TestThreeStylesOfDatesAreReadAsStated(t *testing.T) {
	for _, c := range []struct{ order, text, want string }{
		{"", "2026-03-31", "2026-03-31"}, {"", "31/03/2026", "2026-03-31"}, {"", "03/31/2026", "2026-03-31"}, {"", "31.3.2026", "2026-03-31"},
		{"dmy", "03/04/2026", "2026-04-03"}, {"mdy", "03/04/2026", "2026-03-04"}, {"", "20260331", "2026-03-31"}, {"", "1969-12-31", "1969-12-31"}, {"", "1850-01-01", "1850-01-01"},
	} {
		day, err := newReader(Mapping{DateOrder: c.order}).day(c.text)
		if got := dayFrom(int64(day)).Time().Format(time.DateOnly); err != nil || got != c.want {
			t.Errorf("%q (%s) = %s, %v; want %s", c.text, c.order, got, err, c.want)
		}
	}
}
