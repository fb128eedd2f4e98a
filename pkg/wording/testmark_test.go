package wording

import (
	"strings"
	"testing"
)

func TestATestSendIsMarkedInSubjectAndFirstLineInItsLanguage(t *testing.T) {
	for _, x := range []struct {
		language, line string
		m              Message
	}{
		{"en-GB", "TEST: This is not a notice.", Message{Subject: "About your data", Text: "Dear Alex", HTML: "<p>Dear Alex</p>"}},
		{"sv", "TEST: Det här är ingen underrättelse.", Message{Subject: "Om dina uppgifter", Text: "Hej Alex", HTML: "<p>Hej Alex</p>"}},
		{"sv", "TEST: Det här är ingen underrättelse.", Message{Text: "Hej Alex"}},
		{"pl", "TEST: This is not a notice.", Message{Text: "Drogi Alex"}},
	} {
		got := x.m.AsTest(x.language)
		if !strings.HasPrefix(got.Text, x.line) || !strings.HasSuffix(got.Text, "\n\n"+x.m.Text) {
			t.Errorf("%s: text %q", x.language, got.Text)
		}
		if x.m.Subject != "" && got.Subject != "[TEST] "+x.m.Subject || x.m.Subject == "" && got.Subject != "" {
			t.Errorf("%s: subject %q", x.language, got.Subject)
		}
		if x.m.HTML != "" && (!strings.HasPrefix(got.HTML, "<p><strong>"+x.line) || !strings.HasSuffix(got.HTML, x.m.HTML)) {
			t.Errorf("%s: HTML %q", x.language, got.HTML)
		}
		if !got.IsTest() || x.m.IsTest() {
			t.Errorf("%s: the mark is not recognised", x.language)
		}
		if odd := CountSegments(got.Text).Odd; len(odd) > 0 {
			t.Errorf("%s: the mark forces the costlier alphabet by %q", x.language, odd)
		}
	}
}

func TestHalfAMarkIsNoMark(t *testing.T) {
	whole := Message{Subject: "S", Text: "T", HTML: "<p>T</p>"}.AsTest("en")
	for _, m := range []Message{
		{Subject: "S", Text: whole.Text, HTML: whole.HTML}, {Subject: whole.Subject, Text: "T", HTML: whole.HTML}, {Subject: whole.Subject, Text: whole.Text, HTML: "<p>T</p>"},
	} {
		if m.IsTest() {
			t.Errorf("%+v counts as marked", m)
		}
	}
}
