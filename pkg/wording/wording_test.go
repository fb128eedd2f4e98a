package wording

import (
	"errors"
	"strings"
	"testing"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
)

var email = event.TextKey{Audience: "people", Channel: "email", Language: "en-GB"}

func bind(t *testing.T, key event.TextKey, subject, body string) *Bound {
	t.Helper()
	tpl, err := Compile(key, subject, body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tpl.Bind(Common{
		Organisation: &organisation.Organisation{Name: "A*B <Ltd>", Contact: &organisation.ContactPoint{Label: "DPO", Email: "dpo@example.test"}},
		CaseNumber:   "2026-001",
		Sheet:        map[string]string{"what_happened": "Someone read our files."},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func exposed(t *testing.T, codes ...string) category.Set {
	t.Helper()
	s, err := category.ParseAll(codes)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConditionalPartsReachExactlyThePeopleTheyAreFor(t *testing.T) {
	b := bind(t, email, "Your data", "Hello.\n\n{{#if exposed.payment_card}}\nCall your bank.\n{{/if}}\n{{#unless exposed.password}}\nNo password was involved.\n{{/unless}}\nBye.")
	for _, c := range []struct {
		codes      []string
		bank, calm bool
	}{
		{[]string{"email"}, false, true},
		{[]string{"email", "payment_card"}, true, true},
		{[]string{"password", "payment_card"}, true, false},
		{[]string{"password"}, false, false},
	} {
		m, err := b.Render(Recipient{Contact: &person.Contact{Number: 1, Exposed: exposed(t, c.codes...)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{m.Text, m.HTML} {
			if strings.Contains(part, "bank") != c.bank || strings.Contains(part, "No password") != c.calm {
				t.Errorf("exposed %v got:\n%s", c.codes, part)
			}
		}
	}
}

func TestAPersonsValueNeverBecomesMarkup(t *testing.T) {
	b := bind(t, email, "For {{person.given_name}}", "Dear {{person.given_name}} of {{organisation.name}}, **read**.")
	m, err := b.Render(Recipient{Contact: &person.Contact{Number: 1, GivenName: "<b>*Åsa*</b> [x](http://evil.test)"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "Dear <b>*Åsa*</b> [x](http://evil.test) of A*B <Ltd>, read."; m.Text != want {
		t.Errorf("text = %q, want %q", m.Text, want)
	}
	if want := "<p>Dear &lt;b&gt;*Åsa*&lt;/b&gt; [x](http://evil.test) of A*B &lt;Ltd&gt;, <strong>read</strong>.</p>\n"; m.HTML != want {
		t.Errorf("html = %q, want %q", m.HTML, want)
	}
	if want := "For <b>*Åsa*</b> [x](http://evil.test)"; m.Subject != want {
		t.Errorf("subject = %q", m.Subject)
	}
}

func TestAMissingValueNamesPersonAndField(t *testing.T) {
	b := bind(t, email, "s", "Dear {{person.given_name}}")
	_, err := b.Render(Recipient{Contact: &person.Contact{Number: 42}})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "person 42") || !strings.Contains(err.Error(), "person.given_name") {
		t.Errorf("error = %v", err)
	}
	tpl, _ := Compile(email, "s", "{{facts.when}}")
	if _, err := tpl.Bind(Common{}); !errors.Is(err, ErrMissing) {
		t.Errorf("an empty common value must not bind: %v", err)
	}
}

func TestSyntaxErrorsNameTheLine(t *testing.T) {
	for body, want := range map[string]string{
		"a\n{{person.shoe}}":             "line 2",
		"{{#if exposed.email}}\nx":       "line 1 is not closed",
		"a\n\nb {{/if}}":                 "line 3",
		"{{#if person.tall}}x{{/if}}":    "there is no condition",
		"{{person.given_name":            "not closed by }}",
		"{{#if exposed.x.y}}{{/unless}}": "",
	} {
		_, err := Compile(email, "s", body)
		if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%q) = %v, want mention of %q", body, err, want)
		}
	}
}

func TestPlainTextKeepsListsAndLinks(t *testing.T) {
	got := toText("# Head\n\nSee [our page](https://example.test/x).\n\n1. one\n2. two\n\n- a\n- b\n\nEnd *now*.")
	want := "Head\n\nSee our page (https://example.test/x).\n\n1. one\n2. two\n\n- a\n- b\n\nEnd now."
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestSMSPartsAreCountedInTheRealAlphabet(t *testing.T) {
	for _, c := range []struct {
		text     string
		alphabet string
		parts    int
	}{
		{"", "GSM-7", 0},
		{strings.Repeat("å", 160), "GSM-7", 1},
		{strings.Repeat("ö", 161), "GSM-7", 2},
		{strings.Repeat("a", 306), "GSM-7", 2},
		{strings.Repeat("a", 307), "GSM-7", 3},
		{strings.Repeat("a", 159) + "€", "GSM-7", 2},
		{strings.Repeat("a", 69) + "ł", "UCS-2", 1},
		{strings.Repeat("a", 70) + "ł", "UCS-2", 2},
		{strings.Repeat("😀", 35), "UCS-2", 1},
		{strings.Repeat("😀", 36), "UCS-2", 2},
	} {
		if got := CountSegments(c.text); got.Alphabet != c.alphabet || got.Parts != c.parts {
			t.Errorf("%d runes starting %.4q: %+v, want %s in %d", len([]rune(c.text)), c.text, got, c.alphabet, c.parts)
		}
	}
}

func TestDigestSeparatesItsParts(t *testing.T) {
	a := Digest(email, "ab", "c")
	if b := Digest(email, "a", "bc"); a == b {
		t.Error("moving a letter from subject to body must change the digest")
	}
}

func BenchmarkRenderOnePerson(b *testing.B) {
	tpl, _ := Compile(email, "About your data", "Dear {{person.given_name}},\n\nwe lost your {{exposed.categories}}. Ref {{notice.reference}}.\n\n"+strings.Repeat("Lorem ipsum dolor sit amet. ", 60))
	bound, _ := tpl.Bind(Common{})
	r := Recipient{Contact: &person.Contact{Number: 1, GivenName: "Ada", Exposed: 0x87}, Reference: "ABCD-1234"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bound.Render(r); err != nil {
			b.Fatal(err)
		}
	}
}
