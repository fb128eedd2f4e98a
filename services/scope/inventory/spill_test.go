package inventory

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestASpillGivesBackWhatEachPartGot(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	s := &spill{dir: t.TempDir(), block: 1 << 10, inMem: 4 << 10}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	want := make([][]byte, 6)
	for i := range 20_000 {
		part, row := random.IntN(len(want)), make([]byte, 1+random.IntN(300))
		if i%1000 == 0 {
			row = make([]byte, 3<<10) // more than a block
		}
		for j := range row {
			row[j] = byte(random.Uint32())
		}
		if err := s.add(part, row); err != nil {
			t.Fatal(err)
		}
		want[part] = append(want[part], row...)
		if i%5000 == 4999 { // a part that is dropped begins anew, with the memory of what it was
			part := random.IntN(len(want))
			if err := s.drop(part); err != nil {
				t.Fatal(err)
			}
			want[part] = nil
		}
	}
	if s.made == 0 {
		t.Fatal("nothing went to the file")
	}
	var buf []byte
	for part := range want {
		var err error
		if buf, err = s.load(part, buf); err != nil || !bytes.Equal(buf, want[part]) {
			t.Errorf("part %d: %d bytes instead of %d, or others: %v", part, len(buf), len(want[part]), err)
		}
	}
}
