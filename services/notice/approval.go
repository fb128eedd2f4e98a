package notice

import (
	"tocsin.dev/pkg/approval"
	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/wording"
)

// Refusal is why an order may not be carried out. What holds an approval
// against the case is package approval, which auditors use as well.
type Refusal = approval.Refusal

func refuse(reason, format string, args ...any) *Refusal {
	return approval.Refuse(reason, format, args...)
}

// textFor returns the approved text for an audience, channel and language: the
// language itself, a text in its base language, the organisation's language for
// people whose language is unknown, and otherwise only what a person decided
// and stated as the fact notice.language_fallback. There is no silent fall-back.
func textFor(c *casefile.Case, a *event.Approval, org *organisation.Organisation, audience string, ch Channel, language string) (event.TextKey, bool) {
	if language == "" || language == "unknown" {
		language = org.Language
	}
	if k, ok := approvedText(a, audience, ch, language); ok {
		return k, true
	}
	if c.Facts[FactLanguageFallback].Value != "" {
		return approvedText(a, audience, ch, org.Language)
	}
	return event.TextKey{}, false
}

// FactLanguageFallback is the key of the fact by which a person decides, with
// the reason as its value, to write in the organisation's language to people
// whose language has no text.
const FactLanguageFallback = "notice.language_fallback"

func approvedText(a *event.Approval, audience string, ch Channel, language string) (event.TextKey, bool) {
	keys := make([]event.TextKey, 0, len(a.Texts))
	for _, t := range a.Texts {
		keys = append(keys, t.TextKey)
	}
	return wording.Choose(keys, audience, ch.Text(), language)
}
