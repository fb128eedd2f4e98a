package wording

import (
	"strings"

	"tocsin.dev/pkg/event"
)

// Choose returns which of several texts a reader of a language gets on a text
// channel ("email", "sms", "letter", "page"): the text in exactly that
// language, or one in its base language ("en-GB" for "en-AU"), the first by tag
// if there are several. There is no other fall-back.
func Choose(keys []event.TextKey, audience, channel, language string) (event.TextKey, bool) {
	var found event.TextKey
	for _, k := range keys {
		if k.Audience != audience || k.Channel != channel {
			continue
		}
		if k.Language == language {
			return k, true
		}
		if base(k.Language) == base(language) && (found.Language == "" || k.Language < found.Language) {
			found = k
		}
	}
	return found, found.Language != ""
}

// ChooseFor is Choose for a person: home, the organisation's language, serves
// those whose language is unknown, and, if a person decided so (fallBack),
// those whose language has no text.
func ChooseFor(keys []event.TextKey, audience, channel, language, home string, fallBack bool) (event.TextKey, bool) {
	if language == "" || language == "unknown" {
		language = home
	}
	k, ok := Choose(keys, audience, channel, language)
	if !ok && fallBack {
		k, ok = Choose(keys, audience, channel, home)
	}
	return k, ok
}

// base returns the language of a BCP 47 tag without region and script.
func base(tag string) string {
	b, _, _ := strings.Cut(tag, "-")
	return b
}
