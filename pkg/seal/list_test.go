package seal

import "testing"

func TestAListDigestGoesOnWhereItWasLeft(t *testing.T) {
	whole, half := NewListDigest("tidewater"), NewListDigest("tidewater")
	for n := range uint32(3000) {
		whole.Add(2*n, n%7+1)
		half.Add(2*n, n%7+1)
		if n%1000 != 700 {
			continue
		}
		state, err := half.State()
		if err != nil {
			t.Fatal(err)
		}
		if half, err = ResumeListDigest(state); err != nil {
			t.Fatal(err)
		}
	}
	if whole.Sum() != half.Sum() {
		t.Errorf("%s when read at once, %s when read in parts", whole.Sum(), half.Sum())
	}
	if _, err := ResumeListDigest([]byte("nonsense")); err == nil {
		t.Error("a state that is none was taken")
	}
}

func TestAListDigestTellsListsApart(t *testing.T) {
	digest := func(d *ListDigest, people ...[2]uint32) string {
		for _, p := range people {
			d.Add(p[0], p[1])
		}
		return d.Sum()
	}
	seen := map[string]string{}
	for name, d := range map[string]string{
		"the list":                digest(NewListDigest("a"), [2]uint32{1, 3}, [2]uint32{2, 3}),
		"another organisation's":  digest(NewListDigest("b"), [2]uint32{1, 3}, [2]uint32{2, 3}),
		"of a controller":         digest(NewControllerDigest("a", "x"), [2]uint32{1, 3}, [2]uint32{2, 3}),
		"one person more":         digest(NewListDigest("a"), [2]uint32{1, 3}, [2]uint32{2, 3}, [2]uint32{3, 3}),
		"another person":          digest(NewListDigest("a"), [2]uint32{1, 3}, [2]uint32{9, 3}),
		"another thing was known": digest(NewListDigest("a"), [2]uint32{1, 3}, [2]uint32{2, 1}),
		"the exposures exchanged": digest(NewListDigest("a"), [2]uint32{1, 1}, [2]uint32{2, 3}),
		"nobody":                  digest(NewListDigest("a")),
	} {
		if other, twice := seen[d]; twice {
			t.Errorf("%q and %q have one digest", name, other)
		}
		seen[d] = name
	}
}
