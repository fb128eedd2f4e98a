package sandbox

import "unicode/utf16"

// The GSM 03.38 default alphabet and its extension table; a character of the extension takes two
// of the 160 places (3GPP TS 23.038, section 6.2.1).
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtended = "\f^{}\\[~]|€"
)

// gsmPlaces maps a character to the places it takes in GSM-7; characters outside are absent.
var gsmPlaces = func() map[rune]int {
	m := make(map[rune]int, 140)
	for _, r := range gsmBasic {
		m[r] = 1
	}
	for _, r := range gsmExtended {
		m[r] = 2
	}
	return m
}()

// segments returns how many SMS a body takes and in which encoding: 160 places for one GSM-7 part
// and 153 for each of several, 70 and 67 for UCS-2. A character is never divided between parts.
func segments(body string) (parts int, encoding string) {
	if body == "" {
		return 1, "GSM-7"
	}
	widths := make([]int, 0, len(body))
	total := 0
	for _, r := range body {
		w, ok := gsmPlaces[r]
		if !ok {
			return ucs2Segments(body), "UCS-2"
		}
		widths = append(widths, w)
		total += w
	}
	return split(widths, total, 160, 153), "GSM-7"
}

func ucs2Segments(body string) int {
	widths := make([]int, 0, len(body))
	total := 0
	for _, r := range body {
		w := max(utf16.RuneLen(r), 1)
		widths = append(widths, w)
		total += w
	}
	return split(widths, total, 70, 67)
}

func split(widths []int, total, single, each int) int {
	if total <= single {
		return 1
	}
	parts, used := 1, 0
	for _, w := range widths {
		if used+w > each {
			parts, used = parts+1, 0
		}
		used += w
	}
	return parts
}
