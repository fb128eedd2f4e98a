package notice

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"tocsin.dev/pkg/web"
	"tocsin.dev/services/notice/carrier"
	"tocsin.dev/services/notice/smtp"
)

// fromMailServer takes a message that came back to the organisation's own mail
// server. Whatever is posted with the right token is kept sealed; what names no
// notice, or says nothing about one, is kept without further effect.
func (s *Service) fromMailServer(ctx context.Context, q *web.Callback) web.Reply {
	token, ok := strings.CutPrefix(q.Header("Authorization"), "Bearer ")
	if !ok || s.cfg.SMTP == nil || s.cfg.SMTP.BounceToken == "" || !sameSecret(token, s.cfg.SMTP.BounceToken) {
		s.meters.receipt(ctx, ownServer, "wrong_token", 1)
		return web.Reply{Status: http.StatusUnauthorized, Text: "wrong token; set smtp.bounce_token"}
	}
	if len(q.Body) > smtp.MaxBounce {
		return tooLarge
	}
	f, ours, err := smtp.ReadBounce(q.Body, s.cfg.Now())
	if err != nil {
		return unreadable(err)
	}
	d := &delivery{from: s.accountNamed(ownServer), raw: q.Body}
	switch {
	case !ours:
		d.strays = []carrier.Receipt{f}
	case f.Meaning != carrier.Ignored:
		if f.At.IsZero() {
			f.At = s.cfg.Now()
		}
		d.facts = []carrier.Receipt{f}
	}
	return s.received(ctx, d)
}

// sameSecret compares without telling by its time how much was right.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
