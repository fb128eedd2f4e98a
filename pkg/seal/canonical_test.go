package seal_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/seal"
)

// The examples of RFC 8785: section 3.2.2, section 3.2.3 and appendix B.

func TestCanonicalFormFollowsTheExampleOfTheRFC(t *testing.T) {
	in := json.RawMessage(`{
	  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
	  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
	  "literals": [null, true, false]
	}`)
	want := `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
		`"string":"€$\u000f\nA'B\"\\\\\"/"}`
	got, err := seal.Canonical(in)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestKeysAreSortedByUTF16Units(t *testing.T) {
	in := json.RawMessage(`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
		"1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`)
	got, err := seal.Canonical(in)
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for _, name := range []string{"Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"} {
		at := strings.Index(string(got), name)
		if at <= last {
			t.Fatalf("%s is out of order in %s", name, got)
		}
		last = at
	}
}

func TestNumbersArePrintedAsTheRFCPrintsDoubles(t *testing.T) {
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0",
		0x8000000000000000: "0",
		0x0000000000000001: "5e-324",
		0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308",
		0xffefffffffffffff: "-1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992",
		0xc340000000000000: "-9007199254740992",
		0x4430000000000000: "295147905179352830000",
		0x44b52d02c7e14af5: "9.999999999999997e+22",
		0x44b52d02c7e14af6: "1e+23",
		0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef4e: "999999999999999700000",
		0x444b1ae4d6e2ef4f: "999999999999999900000",
		0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7",
		0x3eb0c6f7a0b5ed8d: "0.000001",
		0x41b3de4355555553: "333333333.3333332",
		0x41b3de4355555554: "333333333.33333325",
		0x41b3de4355555555: "333333333.3333333",
		0x41b3de4355555556: "333333333.3333334",
		0x41b3de4355555557: "333333333.33333343",
		0xbecbf647612f3696: "-0.0000033333333333333333",
		0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		got, err := seal.Canonical(math.Float64frombits(bits))
		if err != nil {
			t.Errorf("%016x: %v", bits, err)
		} else if string(got) != want {
			t.Errorf("%016x = %s, want %s", bits, got, want)
		}
	}
}

func TestWhatHasNoCanonicalFormIsRefused(t *testing.T) {
	for name, in := range map[string]any{
		"not JSON":              json.RawMessage(`{"a":}`),
		"two values":            json.RawMessage(`1 2`),
		"empty":                 json.RawMessage(``),
		"repeated key":          json.RawMessage(`{"a":1,"b":2,"\u0061":1}`),
		"half a surrogate":      json.RawMessage(`"\ud800"`),
		"surrogates reversed":   json.RawMessage(`"\ude00\ud83d"`),
		"surrogate and letter":  json.RawMessage(`"\ud83dx"`),
		"not UTF-8":             json.RawMessage("\"\xff\""),
		"beyond a double":       json.RawMessage(`1e400`),
		"integer loses digits":  int64(9007199254740993),
		"largest int64":         int64(math.MaxInt64),
		"largest uint64":        uint64(math.MaxUint64),
		"not a number":          math.NaN(),
		"a function is no JSON": func() {},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := seal.Canonical(in)
			if !errors.Is(err, seal.ErrNotCanonical) {
				t.Errorf("got %q, %v, want ErrNotCanonical", got, err)
			}
		})
	}
}

// anyJSON draws a JSON value of limited depth.
func anyJSON(depth int) *rapid.Generator[any] {
	scalars := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.Float64Range(-1e300, 1e300), func(f float64) any { return f }),
		rapid.Map(rapid.Int32(), func(n int32) any { return float64(n) }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
	)
	if depth == 0 {
		return scalars
	}
	return rapid.OneOf(scalars,
		rapid.Map(rapid.SliceOfN(anyJSON(depth-1), 0, 4), func(s []any) any { return s }),
		rapid.Map(rapid.MapOfN(rapid.String(), anyJSON(depth-1), 0, 4), func(m map[string]any) any { return m }),
	)
}

// disorder writes v with members shuffled and spaces thrown in.
func disorder(r *rand.Rand, v any) string {
	space := func() string { return []string{"", " ", "\n\t"}[r.IntN(3)] }
	switch v := v.(type) {
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			parts = append(parts, space()+disorder(r, e)+space())
		}
		return "[" + space() + strings.Join(parts, ",") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for key, e := range v { // Go's own order differs each time
			parts = append(parts, space()+disorder(r, key)+space()+":"+space()+disorder(r, e))
		}
		return "{" + space() + strings.Join(parts, ",") + "}"
	default:
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(text)
	}
}

func TestOrderAndSpacingNeverChangeADigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyJSON(3).Draw(t, "value")
		seed := rapid.Uint64().Draw(t, "seed")
		want, err := seal.Digest(v)
		if err != nil {
			t.Fatal(err)
		}
		other := disorder(rand.New(rand.NewPCG(seed, seed)), v)
		got, err := seal.Digest(json.RawMessage(other))
		if err != nil {
			t.Fatalf("%s: %v", other, err)
		}
		if got != want {
			t.Fatalf("%s has another digest", other)
		}
		once, err := seal.Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := seal.Canonical(json.RawMessage(once))
		if err != nil || string(once) != string(twice) {
			t.Fatalf("canonical form of the canonical form differs: %s, %s, %v", once, twice, err)
		}
	})
}

func TestDifferentIntegersNeverShareADigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64Range(-3, 3).Draw(t, "distance")
		x, errX := seal.Digest(a)
		y, errY := seal.Digest(a + b)
		if errX == nil && errY == nil && (x == y) != (b == 0) {
			t.Fatalf("%d and %d: %s, %s", a, a+b, x, y)
		}
		if a > -1<<53 && a < 1<<53 && errX != nil {
			t.Fatal(errX)
		}
	})
}

func FuzzCanonicalMeansTheSame(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"\u20ac"],"b":{"":null}}`))
	f.Add([]byte(`"\ud83d\ude00"`))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := seal.Canonical(json.RawMessage(in))
		if err != nil {
			return
		}
		var a, b any
		if err := json.Unmarshal(in, &a); err != nil {
			t.Fatalf("accepted %q, which is not JSON", in)
		}
		if err := json.Unmarshal(out, &b); err != nil {
			t.Fatalf("wrote %q, which is not JSON", out)
		}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if string(x) != string(y) && !strings.Contains(string(x), "-0") {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
