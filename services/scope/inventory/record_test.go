package inventory

import (
	"math/rand/v2"
	"testing"
)

func TestARecordIsTakenAsItStandsOnlyIfItWouldBeWrittenSo(t *testing.T) {
	whole := Person{
		Ref: "C-1", Space: "web", OfficialID: "SE 19800101-0000", Given: "Åsa", Family: "Ek", Email: "asa@example.test", Phone: "+46700000000",
		Address: []string{"Storgatan 1", "11122 Stockholm"}, Language: "sv", Jurisdiction: "SE", Born: 47482, AgeClass: "adult", Relation: "former",
		Preference: "post", Source: "list", LastActive: 20_000, OptOut: true, MovedOn: 60_000, Before: "FI",
		otherEmails: []string{"ek@example.test", "e@example.test"}, otherPhones: []string{"+46700000001"}, Fax: "+46700000002",
	}
	same, changed := 0, 0
	for _, p := range []Person{whole, {Ref: "1"}, {Given: "Bo", Email: "bo@example.test", AgeClass: "minor"}} {
		record := string(p.encode(nil))
		var read Person
		if asItStands, err := read.read(record); err != nil || !asItStands {
			t.Fatalf("what encode writes is not taken as it stands: %v", err)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 20_000 {
			damaged := mutate(random, record)
			asItStands, err := read.read(damaged)
			if err != nil {
				continue
			}
			again := string(read.encode(nil))
			if asItStands && again != damaged {
				t.Fatalf("record % x is taken as it stands, but would be written % x", damaged, again)
			}
			if again == damaged {
				same++
			} else {
				changed++
			}
		}
	}
	if same < 100 || changed < 100 {
		t.Errorf("the mutations left %d records in form and brought %d out of it: too few to show anything", same, changed)
	}
}

// mutate changes, drops, doubles or moves a few bytes after the version.
func mutate(random *rand.Rand, record string) string {
	b := []byte(record)
	for range 1 + random.IntN(3) {
		from := 1 + random.IntN(len(b)-1)
		to := min(len(b), from+1+random.IntN(8))
		switch random.IntN(4) {
		case 0:
			b[from] = byte(random.IntN(256))
		case 1:
			b[from] ^= 1 << random.IntN(8)
		case 2:
			b = append(b[:to:to], b[from:]...)
		default:
			b = append(b[:from:from], b[to:]...)
		}
		if len(b) < 2 {
			return record
		}
	}
	return string(b)
}
