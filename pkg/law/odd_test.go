package law

import (
	"os"
	"testing"
)

func TestEveryOddMechanismCountsAsItsStatuteWants(t *testing.T) {
	text, err := os.ReadFile("testdata/odd/odd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rules(t).With(map[string][]byte{"odd.yaml": text})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/odd/odd.cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := readCases("odd.cases.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 30 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := r.RunCase(c); got != "" {
			t.Error(Failure{c, got})
		}
	}
}
