package synthetic

import "fmt"

// Phone numbers kept for fiction by the numbering authorities.

// none is a country that keeps no numbers for fiction.
func none(source) string { return "" }

// british is Ofcom's range for drama: 07700 900000 to 900999.
func british(r source) string { return fmt.Sprintf("+447700900%03d", r.IntN(1000)) }

// swedish is the range of PTS for fiction: 070-174 06 05 to 06 99.
func swedish(r source) string { return fmt.Sprintf("+46701740%03d", 605+r.IntN(95)) }

// australian is one of ACMA's mobile numbers for fiction.
func australian(r source) string {
	return [...]string{"+61491570006", "+61491570156", "+61491570157", "+61491570158", "+61491570159", "+61491570110"}[r.IntN(6)]
}

var areaCodes = [...]int{205, 212, 213, 214, 303, 305, 312, 404, 415, 503, 512, 602, 612, 617, 702, 713, 718, 773, 808, 919}

// american is 555-0100 to 555-0199 of an area.
func american(r source) string {
	return fmt.Sprintf("+1%d55501%02d", areaCodes[r.IntN(len(areaCodes))], r.IntN(100))
}

// french is ARCEP's mobile range for fiction: 06 39 98 00 00 to 99 99.
func french(r source) string { return fmt.Sprintf("+3363998%04d", r.IntN(10_000)) }

// foreign writes a number in one of the ways in which it arrives from elsewhere.
func foreign(r source, e164 string) string {
	if len(e164) < 8 {
		return e164
	}
	switch r.IntN(4) {
	case 0:
		return "00" + e164[1:]
	case 1:
		return e164[:3] + " (0)" + e164[3:6] + " " + e164[6:]
	case 2:
		return e164[:3] + "-" + e164[3:6] + "." + e164[6:]
	}
	return e164
}
