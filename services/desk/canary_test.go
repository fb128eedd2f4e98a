package desk

import (
	"strings"
	"testing"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
)

func TestTheCheckPageSaysWhetherBatchesAreCheckedAtTheProvider(t *testing.T) {
	own := []organisation.Canary{{GivenName: "Serinus", FamilyName: "Canaria", Email: "canary@own.example"}}
	for name, row := range map[string]struct {
		channels []string
		canaries []organisation.Canary
		says     string
	}{
		"no canary":               {[]string{"email", "sms"}, nil, "no batch is checked at the provider"},
		"a canary for one of two": {[]string{"email", "sms"}, own, "Batches by SMS have none and are not checked"},
		"a canary for all":        {[]string{"email"}, own, "in every batch by Email (1); the provider is asked"},
		"letters only":            {[]string{"post"}, own, "No approved channel carries one."},
		"nothing approved":        {nil, own, "No approved channel carries one."},
	} {
		d := DispatchCheck{Approval: &event.Approval{Channels: row.channels}, Canaries: canaries(&organisation.Organisation{Canaries: row.canaries})}
		if got := canaryWords(d); !strings.Contains(got, row.says) {
			t.Errorf("%s: %q does not say %q", name, got, row.says)
		}
	}
}

func TestTheProgressPageSaysHowManyBatchesWereChecked(t *testing.T) {
	if s := canariesSoFar(&event.CanaryCount{Sent: 1200, LookedUp: 9, Received: 1198, Wrong: 1}); !strings.Contains(s, "1,200") || !strings.Contains(s, "about 9,") || !strings.Contains(s, "wrong: 1") {
		t.Error(s)
	}
	if s := canariesSoFar(nil); s != "" {
		t.Error(s)
	}
}
