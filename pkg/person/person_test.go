package person

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestNoVerbAndNoLogShowsPersonalData(t *testing.T) {
	c := Contact{Number: 7, GivenName: "Canary", Email: "canary@example.test", Phone: "+15005550006", Address: []Text{"Canary Row 1"}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+" "+verb+"\n", c, c.Email, c.Phone, c.GivenName)
	}
	fmt.Fprintf(&out, "%v %+v %#v", struct{ C Contact }{c}, &c, c.Address)
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "contact", c, "email", c.Email, "phone", c.Phone, "name", c.GivenName)
	for _, secret := range []string{"Canary", "canary", "500555", "63616e"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("output shows %q:\n%s", secret, out.String())
		}
	}
	if c.Email.Reveal() != "canary@example.test" {
		t.Error("Reveal must return the address")
	}
}
