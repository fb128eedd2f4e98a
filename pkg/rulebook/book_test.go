package rulebook

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"tocsin.dev/pkg/bus/bustest"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/law"
)

var builtIn = sync.OnceValues(law.Default)

func open(t *testing.T, srv *bustest.Server, service string, own map[string][]byte) *Book {
	t.Helper()
	rules, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{BuiltIn: rules, Own: own, Now: func() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) }}
	if srv != nil {
		cfg.NATS = srv.Connect(t, service)
	}
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// small is a package with one rule, so that its check takes no time.
func small(t *testing.T, hours string) []byte {
	t.Helper()
	files := fstest.MapFS{}
	for _, dir := range []string{"calendars", "data"} {
		must(t, fs.WalkDir(law.Files(), dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(law.Files(), name)
			files[name] = &fstest.MapFile{Data: data}
			return err
		}))
	}
	files["rules/x.yaml"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(`
regime: x
title: an act
jurisdiction: SE
citation: Act 1
version: "HOURS"
status: in-force
valid: {from: 2020-01-01}
source: {kind: recalled, confidence: low, checked_on: 2026-11-21}
owed_by: {role: controller}
connection: sector
duties:
  - {id: one, title: tell somebody, to: {kind: regulator, name: somebody}, standard: at once, target: {n: HOURS, unit: hour, from: aware, why: our aim}}
`, "HOURS", hours))}
	files["rules/x.cases.yaml"] = &fstest.MapFile{Data: []byte(`
cases:
  - name: plain
    rule: x.one
    shows: plain
    because: There is no number.
    facts: {events: [{kind: aware, at: 2026-03-02T09:00:00+01:00}]}
    expect: {due: none}
`)}
	packed, err := Pack(files)
	must(t, err)
	return packed
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnAcceptedPackageHoldsOnEveryReplicaAndAfterARestart(t *testing.T) {
	srv := bustest.Start(t)
	desk, deadline := open(t, srv, event.Desk, nil), open(t, srv, event.Deadline, nil)
	heard := make(chan string, 10)
	deadline.Changed(func(org string) { heard <- org })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = deadline.Run(ctx) }()
	defer func() { cancel(); <-ended }()

	p, problems, err := desk.Propose(t.Context(), "tidewater", "lea", "a new act", small(t, "48"))
	must(t, err)
	if len(problems) > 0 || p.Active || p.Rules != 1 {
		t.Fatalf("proposal %+v, problems %v", p, problems)
	}
	if len(desk.For("tidewater").All()) == 1 {
		t.Fatal("a proposal holds before anybody accepted it")
	}
	p, err = desk.Accept(t.Context(), "tidewater", "dora", p.Digest[:12])
	must(t, err)
	if !p.Active || p.AcceptedBy != "dora" || len(desk.For("tidewater").All()) != 1 {
		t.Fatalf("after acceptance: %+v", p)
	}
	select {
	case org := <-heard:
		if org != "tidewater" || len(deadline.For("tidewater").All()) != 1 || len(deadline.For("vardag").All()) < 50 {
			t.Errorf("heard of %s", org)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the other replica never heard of it")
	}
	if again := open(t, srv, event.Deadline, nil); len(again.For("tidewater").All()) != 1 {
		t.Error("after a restart the built-in rules hold again")
	}
}

func TestTheProposerCannotAccept(t *testing.T) {
	srv := bustest.Start(t)
	b := open(t, srv, event.Desk, nil)
	p, _, err := b.Propose(t.Context(), "tidewater", "lea", "", small(t, "48"))
	must(t, err)
	// Proposing it again, by whomever, does not change who proposed it.
	again, _, err := b.Propose(t.Context(), "tidewater", "dora", "", small(t, "48"))
	must(t, err)
	if again.ProposedBy != "lea" {
		t.Errorf("now proposed by %s", again.ProposedBy)
	}
	if _, err := b.Accept(t.Context(), "tidewater", "lea", p.Digest); !errors.Is(err, ErrSamePerson) {
		t.Errorf("the proposer accepted: %v", err)
	}
	if _, err := b.Accept(t.Context(), "vardag", "eve", p.Digest); !errors.Is(err, ErrNoProposal) {
		t.Errorf("another organisation accepted it: %v", err)
	}
	if _, err := b.Accept(t.Context(), "tidewater", "dora", p.Digest[:6]); !errors.Is(err, ErrNoProposal) {
		t.Errorf("six characters were enough: %v", err)
	}
	if _, ok := b.Active("tidewater"); ok {
		t.Error("something holds")
	}
}

func TestAPackageWithProblemsIsNeverKept(t *testing.T) {
	srv := bustest.Start(t)
	b := open(t, srv, event.Desk, nil)
	bad := fstest.MapFS{"rules/x.yaml": {Data: []byte("regime: x\nwhat: ever\n")}, "calendars/a.yaml": {}, "data/a.yaml": {}}
	packed, err := Pack(bad)
	must(t, err)
	_, problems, err := b.Propose(t.Context(), "tidewater", "lea", "", packed)
	if !errors.Is(err, ErrProblems) || len(problems) == 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
	list, err := b.Packages(t.Context(), "tidewater")
	must(t, err)
	if len(list) != 0 {
		t.Errorf("kept: %v", list)
	}
}

func TestAnArchiveThatIsNoPackageIsRefused(t *testing.T) {
	archive := func(names ...string) []byte {
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		for _, n := range names {
			w, err := z.Create(n)
			must(t, err)
			_, err = w.Write(bytes.Repeat([]byte(" "), 6<<20))
			must(t, err)
		}
		must(t, z.Close())
		var packed bytes.Buffer
		gz := gzip.NewWriter(&packed)
		_, err := gz.Write(out.Bytes())
		must(t, err)
		must(t, gz.Close())
		return packed.Bytes()
	}
	for name, packed := range map[string][]byte{
		"no archive":     []byte("hello"),
		"no folders":     archive("x.yaml"),
		"other files":    archive("rules/a.yaml", "calendars/a.yaml", "data/a.yaml", "run.sh"),
		"a bomb":         archive("rules/a.yaml", "calendars/a.yaml", "data/a.yaml"),
		"outside itself": archive("rules/a.yaml", "calendars/a.yaml", "data/a.yaml", "../data/b.yaml"),
		"too large":      make([]byte, MaxPacked+1),
	} {
		if _, _, err := Unpack(packed); !errors.Is(err, ErrBadPackage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	packed, err := BuiltIn()
	must(t, err)
	_, first, err := Unpack(packed)
	must(t, err)
	t.Logf("the built-in package is %d bytes packed, of at most %d", len(packed), MaxPacked)
	again, err := BuiltIn()
	must(t, err)
	if _, second, _ := Unpack(again); first != second || !bytes.Equal(packed, again) {
		t.Error("packing twice gives different packages")
	}
}

const promise = `
regime: clearline
title: privacy policy
jurisdiction: AU
citation: privacy policy, section 9
version: "1"
status: policy
valid: {from: 2020-01-01}
source: {kind: primary, confidence: high, checked_on: 2026-11-21}
owed_by: {role: controller}
connection: organisation
duties:
  - {id: prompt-notice, title: tell people promptly, to: {kind: people, name: the people affected}, standard: promptly, target: {n: 72, unit: hour, from: aware, why: our aim}}
`

func TestAnOrganisationsOwnRulesCannotPoseAsLaw(t *testing.T) {
	b := open(t, nil, "", map[string][]byte{"clearline": []byte(promise)})
	if len(b.For("clearline").Rule("clearline.prompt-notice")) != 1 || len(b.For("vardag").Rule("clearline.prompt-notice")) != 0 {
		t.Error("the promise of one organisation is not its own alone")
	}
	rules, err := builtIn()
	must(t, err)
	for name, text := range map[string]string{
		"law":            strings.Replace(promise, "status: policy", "status: in-force", 1),
		"another's name": strings.Replace(promise, "regime: clearline", "regime: eu-gdpr", 1),
		"unknown field":  strings.Replace(promise, "title: privacy", "titel: privacy", 1),
	} {
		if _, err := Open(t.Context(), Config{BuiltIn: rules, Own: map[string][]byte{"clearline": []byte(text)}}); err == nil || !strings.Contains(err.Error(), "clearline") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
