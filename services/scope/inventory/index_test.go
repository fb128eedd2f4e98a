package inventory

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestEntriesOfAPartComeSortedAndWithoutThoseOfNobody(t *testing.T) {
	var sorter entrySorter
	random := rand.New(rand.NewPCG(3, 4))
	for kind := range indexKinds {
		for _, n := range []int{0, 1, 2, 40, 5000} {
			for _, names := range []int{1, 3, 100, 1 << 30} { // how many different hashes there are
				var packed []byte
				var want []entry
				for range n {
					var h hash128
					for i, of := 0, random.IntN(names); i < 16; i++ {
						h[i] = byte(uint64(of+1) * 0x9e3779b97f4a7c15 >> (i * 4))
					}
					h[0] = 7
					e := entryOf(kind, h)
					e.number = random.Uint32N(1000)
					if random.IntN(10) == 0 {
						e.number = heldBack
					}
					if kind == byEmail {
						e.name, e.born = random.Uint32N(3), random.Uint32N(3)
					}
					packed = kind.append(packed, e)
					if e.number != heldBack {
						want = append(want, e)
					}
				}
				slices.SortFunc(want, entry.compare)
				if got := sorter.sort(kind, nil, packed); !slices.Equal(got, want) {
					t.Fatalf("kind %d, %d entries of %d hashes: not sorted as comparing them does", kind, n, names)
				}
			}
		}
	}
}
