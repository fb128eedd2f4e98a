package category

import "testing"

func TestEveryKeyAndCodeParsesToItsOwnBit(t *testing.T) {
	for i, c := range All() {
		if int(c.Bit) != i {
			t.Errorf("%s stands at %d but has bit %d", c.Code, i, c.Bit)
		}
		for _, key := range append([]string{c.Code}, c.Keys...) {
			if got, err := Parse(key); err != nil || got != 1<<c.Bit {
				t.Errorf("Parse(%q) = %v, %v; want %s", key, got, err, c.Code)
			}
		}
	}
}

func TestUnknownKeysFallToTheirLongestKnownPrefix(t *testing.T) {
	for key, want := range map[string]string{
		"user.financial.loan":             "financial_other",
		"user.financial.credit_card.bank": "payment_card",
		"user.shoe_size":                  "other",
	} {
		if got, err := Parse(key); err != nil || got.String() != want {
			t.Errorf("Parse(%q) = %v, %v; want %s", key, got, err, want)
		}
	}
	if _, err := Parse("system.operations"); err == nil {
		t.Error("a key outside user must be refused")
	}
}
