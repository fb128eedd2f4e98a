package print

import (
	"testing"

	"tocsin.dev/services/notice/carrier"
)

func TestEveryOutcomeOfLettersAndFaxesMeansWhatItSays(t *testing.T) {
	for name, row := range map[string]struct {
		table []Outcome
		want  map[string]carrier.Meaning
	}{
		"letters": {Letters, map[string]carrier.Meaning{
			"delivered": carrier.Delivered, "undeliverable": carrier.Hard, "unknown": carrier.Hard, "insufficient_address": carrier.Hard,
			"moved": carrier.Hard, "gone_away": carrier.Hard, "vacant": carrier.Hard, "deceased": carrier.Deceased, "refused": carrier.Blocked,
			"unclaimed": carrier.Soft, "damaged": carrier.Soft, "not_printed": carrier.Soft, "embargo": carrier.Blocked, "other": carrier.Unknown,
		}},
		"faxes": {Faxes, map[string]carrier.Meaning{
			"sent": carrier.Delivered, "ok": carrier.Delivered, "busy": carrier.Soft, "no_answer": carrier.Soft, "line_error": carrier.Soft,
			"no_paper": carrier.Soft, "not_a_fax": carrier.Hard, "no_such_number": carrier.Hard, "rejected": carrier.Blocked,
			"barred": carrier.Blocked, "expired": carrier.Expired, "other": carrier.Unknown,
		}},
	} {
		if len(row.want) != len(row.table) {
			t.Errorf("%s: %d words are tested and the table has %d", name, len(row.want), len(row.table))
		}
		meant := map[int]carrier.Meaning{}
		for word, want := range row.want {
			o, ok := Find(row.table, word)
			if !ok || o.Meaning != want || o.Code == 0 || o.Says == "" {
				t.Errorf("%s: %s = %+v, %v; want %v", name, word, o, ok, want)
			}
			if m, twice := meant[o.Code]; twice && m != o.Meaning {
				t.Errorf("%s: the code %d means %v and %v", name, o.Code, m, o.Meaning)
			}
			meant[o.Code] = o.Meaning
		}
	}
	if o, ok := Find(Letters, " Gone-Away "); !ok || o.Code != 114 {
		t.Errorf("«Gone-Away» = %+v, %v", o, ok)
	}
	if _, ok := Find(Faxes, "deceased"); ok {
		t.Error("a fax knows who is dead")
	}
}
