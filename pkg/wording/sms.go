package wording

// gsm7 is the basic alphabet of GSM 03.38 (3GPP TS 23.038, table 6.2.1); each
// character is one unit. gsm7Extended costs two.
const (
	gsm7 = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsm7Extended = "\f^{}\\[~]|€"
)

// Segments says how a text travels as SMS.
type Segments struct {
	// Alphabet is "GSM-7" or "UCS-2".
	Alphabet string
	// Units are septets in GSM-7 and 16-bit units in UCS-2.
	Units int
	// Parts is the number of messages the carrier bills.
	Parts int
	// Odd are the distinct characters that force UCS-2.
	Odd []rune
}

// CountSegments counts the parts of an SMS by its real alphabet: 160 septets
// alone or 153 a part, 70 or 67 units in UCS-2. An extended septet pair is
// never split between parts.
func CountSegments(text string) Segments {
	s := Segments{Alphabet: "GSM-7"}
	var costs []int
	for _, r := range text {
		cost := gsmCost(r)
		if cost == 0 {
			s.Odd = appendDistinct(s.Odd, r)
		}
		costs = append(costs, cost)
	}
	single, part := 160, 153
	if len(s.Odd) > 0 {
		s.Alphabet, single, part = "UCS-2", 70, 67
		costs = costs[:0]
		for _, r := range text {
			costs = append(costs, 1+boolInt(r > 0xFFFF))
		}
	}
	for _, c := range costs {
		s.Units += c
	}
	s.Parts = countParts(costs, s.Units, single, part)
	return s
}

func countParts(costs []int, units, single, part int) int {
	if units == 0 {
		return 0
	}
	if units <= single {
		return 1
	}
	parts, room := 1, part
	for _, c := range costs {
		if c > room {
			parts, room = parts+1, part
		}
		room -= c
	}
	return parts
}

func gsmCost(r rune) int {
	for _, g := range gsm7 {
		if g == r {
			return 1
		}
	}
	for _, g := range gsm7Extended {
		if g == r {
			return 2
		}
	}
	return 0
}

func appendDistinct(list []rune, r rune) []rune {
	for _, have := range list {
		if have == r {
			return list
		}
	}
	return append(list, r)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
