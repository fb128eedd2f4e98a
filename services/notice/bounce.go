package notice

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/smtp"
)

// fromMailServer takes a message that came back to the organisation's own mail
// server. Whatever is posted with the right token is kept sealed; what names no
// notice, or says nothing about one, is kept without further effect.
func (s *Service) fromMailServer(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || s.cfg.SMTP == nil || s.cfg.SMTP.BounceToken == "" || !sameSecret(token, s.cfg.SMTP.BounceToken) {
		s.meters.receipt(r.Context(), ownServer, "wrong_token", 1)
		w.Header().Set("WWW-Authenticate", `Bearer realm="tocsin bounces"`)
		http.Error(w, "wrong token; set smtp.bounce_token", http.StatusUnauthorized)
		return
	}
	body := s.read(w, r, smtp.MaxBounce)
	if body == nil {
		return
	}
	f, ours, err := smtp.ReadBounce(body, s.cfg.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d := &delivery{from: s.accountNamed(ownServer), raw: body}
	switch {
	case !ours:
		d.strays = []carrier.Receipt{f}
	case f.Meaning != carrier.Ignored:
		if f.At.IsZero() {
			f.At = s.cfg.Now()
		}
		d.facts = []carrier.Receipt{f}
	}
	s.received(w, r, d)
}

// sameSecret compares without telling by its time how much was right.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
