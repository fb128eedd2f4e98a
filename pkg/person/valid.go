package person

import "strings"

// Valid reports whether an address is one that SendGrid would not refuse: one
// refused address refuses the whole request of a thousand.
func (e Email) Valid() bool {
	s := string(e)
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || len(local) > 64 || len(s) > 254 || len(domain) < 3 ||
		!strings.Contains(domain, ".") || strings.Contains(domain, "..") || strings.Contains(local, "..") ||
		local[0] == '.' || local[len(local)-1] == '.' || domain[0] == '.' || domain[0] == '-' || domain[len(domain)-1] == '.' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c >= 0x7f, strings.IndexByte(`()<>,;:\"[]`, c) >= 0:
			return false
		case c == '@' && i > len(local):
			return false
		}
	}
	return true
}

// Valid reports whether a number is an E.164 number.
func (p Phone) Valid() bool {
	s := string(p)
	if len(s) < 8 || len(s) > 16 || s[0] != '+' || s[1] == '0' {
		return false
	}
	for _, c := range s[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
