package law

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// What one program prints another must be able to read: the client reads the
// duties and explanations of an installation.
func TestDutiesComeBackFromTheirJSON(t *testing.T) {
	r := rules(t)
	f := bigCase(r)
	before, err := json.Marshal(r.Document(f, time.Time{}, Options{NotApplicable: true}))
	if err != nil {
		t.Fatal(err)
	}
	var d Document
	if err := json.Unmarshal(before, &d); err != nil {
		t.Fatal(err)
	}
	after, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the document changed on its way through JSON")
	}
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ReadFacts(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if twice, _ := json.Marshal(again); !bytes.Equal(data, twice) {
		t.Error("the facts changed on their way through JSON")
	}
}
