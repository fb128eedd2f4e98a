package carrier

import "testing"

func TestEveryEnhancedStatusMeansWhatItsLongestEntrySays(t *testing.T) {
	want := map[string]Meaning{
		"5": Hard, "5.1.1": Hard, "5.1.2": Hard, "5.1.10": Hard, "5.2.1": Hard, "5.2.2": Soft, "5.2.3": Blocked, "5.3": Soft, "5.4": Soft,
		"5.7": Blocked, "5.7.13": Hard, "4": Soft, "4.4.7": Expired, "4.7": Blocked,
	}
	if len(want) != len(enhanced) {
		t.Errorf("%d codes are tested and the table has %d", len(want), len(enhanced))
	}
	for _, c := range []struct{ status, entry string }{{"5.1.9", "5"}, {"5.3.4", "5.3"}, {"5.4.7", "5.4"}, {"5.7.26", "5.7"}, {"4.2.2", "4"}, {"4.7.0", "4.7"}} {
		want[c.status] = want[c.entry]
	}
	for status, m := range want {
		if got, ok := Enhanced(status); !ok || got != m {
			t.Errorf("%s means %v, %v; want %v", status, got, ok, m)
		}
	}
	for _, none := range []string{"", "2.0.0", "x", "6.1"} {
		if m, ok := Enhanced(none); ok {
			t.Errorf("%q means %v", none, m)
		}
	}
	if EnhancedCode("5.1.10") != 5110 || EnhancedCode("five") != 0 || EnhancedCode("") != 0 {
		t.Error("codes are not written as numbers")
	}
}
