package approval

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/seal"
)

func (d *desk) export() ([]byte, *seal.Keyring) {
	d.t.Helper()
	var out bytes.Buffer
	if err := WriteExport(&out, "vardag", "2026-001", d.entries, d.signer, now); err != nil {
		d.t.Fatal(err)
	}
	keys, err := seal.NewKeyring(d.keys...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out.Bytes(), keys
}

func TestAnExportIsVerifiedFarFromTheInstallation(t *testing.T) {
	d := newDesk(t)
	data, keys := d.export()
	entries, s, err := ReadExport(data, keys, now)
	if err != nil || s.Entries != len(d.entries) || s.Case != "2026-001" {
		t.Fatalf("read %+v, %v", s, err)
	}
	if r := Audit(entries, keys, now); !r.Holds || !r.Orders[0].Covered || len(r.Approvals) != 2 || r.Approvals[0].Digest == "" {
		t.Errorf("audit: %+v", r)
	}
}

func TestVerifyFailsOnAnyFlippedBit(t *testing.T) {
	data, keys := newDesk(t).export()
	rapid.Check(t, func(t *rapid.T) {
		bad := bytes.Clone(data)
		bit := rapid.IntRange(0, 8*len(data)-1).Draw(t, "bit")
		bad[bit/8] ^= 1 << (bit % 8)
		if _, _, err := ReadExport(bad, keys, now); err == nil {
			t.Fatalf("bit %d flipped, and the export is taken for intact", bit)
		}
	})
	// The seal itself, bit by bit: here lies everything that vouches for the rest.
	for bit := 8 * (bytes.LastIndexByte(data[:len(data)-1], '\n') + 1); bit < 8*len(data); bit++ {
		bad := bytes.Clone(data)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, _, err := ReadExport(bad, keys, now); err == nil {
			t.Errorf("bit %d of the seal flipped, and the export is taken for intact", bit)
		}
	}
}

func TestAnExportThatWasCutOrSealedByAStrangerIsRefused(t *testing.T) {
	d := newDesk(t)
	data, keys := d.export()
	lines := strings.SplitAfter(strings.TrimSuffix(string(data), "\n"), "\n")
	for name, text := range map[string]string{
		"nothing at all":    "",
		"without its seal":  strings.Join(lines[:len(lines)-1], ""),
		"without one entry": strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), "") + "\n",
		"two entries apart": lines[1] + lines[0] + strings.Join(lines[2:], "") + "\n",
	} {
		if _, _, err := ReadExport([]byte(text), keys, now); !errors.Is(err, ErrExport) {
			t.Errorf("%s: %v, want ErrExport", name, err)
		}
	}
	d.signer, _ = seal.Generate()
	forged, _ := d.export()
	if _, _, err := ReadExport(forged, keys, now); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("sealed by a stranger: %v, want ErrUnknownKey", err)
	}
}

func TestAnAuditHoldsEveryOrderAgainstItsOwnInstant(t *testing.T) {
	audit := func(d *desk, at time.Time) Report {
		_, keys := d.export()
		return Audit(d.entries, keys, at)
	}
	d := newDesk(t)
	d.say("notice", event.DispatchPlanned{Order: "o", Kind: "first", Revision: 1, People: 3})
	d.write("ann", "sv", "Hej igen.") // after the order: it takes nothing from what was ordered
	if r := audit(d, now.Add(1000*time.Hour)); !r.Holds || r.Approvals[0].Standing {
		t.Errorf("carried out and long over: %+v", r)
	}
	d = newDesk(t)
	d.write("ann", "sv", "Hej igen.")
	d.say("dora", event.DispatchOrdered{Order: "o2", Kind: "first", Approval: "lex", Revision: 1, ScopeDigest: "sha256:aa", Channels: []string{"email"}})
	if r := audit(d, now); r.Holds || r.Orders[1].Covered || r.Orders[1].Refusal.Reason != WordingChanged {
		t.Errorf("nothing stands any more: %+v", r)
	}
	d.say("notice", event.DispatchPlanned{Order: "o2", Kind: "first", Revision: 1, People: 3})
	if r := audit(d, now); r.Holds || !strings.Contains(r.Why[0], "o2 was carried out without") {
		t.Errorf("an uncovered order was carried out: %+v", r)
	}
	d = newDesk(t)
	d.entries = d.entries[:4]
	if r := audit(d, now); r.Holds || len(r.Why) != 1 {
		t.Errorf("nothing was approved: %+v", r)
	}
}
