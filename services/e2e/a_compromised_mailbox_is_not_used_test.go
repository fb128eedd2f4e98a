package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"tocsin.dev/services/desk/api/client"
	"tocsin.dev/services/scope/inventory"
)

// Where the breach gave away a mailbox and its password, whoever has them would
// read the notice: the address is left out, the next safe channel is used, and the record says so.
func TestACompromisedMailboxIsNotUsed(t *testing.T) {
	w := begin(t, 0)
	var rows strings.Builder
	rows.WriteString("person,given_name,family_name,email,phone,language,country,age_class,dataset\n")
	for i := range 6 {
		domain := "mail.tidewater.example.test" // the mailboxes that tidewater hosts
		if i%2 == 1 {
			domain = "elsewhere.example.test"
		}
		fmt.Fprintf(&rows, "%d,Ada,Byron%d,ada%d@%s,+4477009005%02d,en-GB,GB,adult,portal.accounts\n", i, i, i, domain, i)
	}
	_, err := w.running.Scope.Inventory().Import(w.ctx, "tidewater", []inventory.Source{
		inventory.Text("datasets.csv", "key,system,categories\nportal.accounts,portal,user.name user.contact.email user.authorization.password\n", inventory.Mapping{}),
		inventory.Text("people.csv", rows.String(), inventory.Mapping{}),
	}, inventory.Options{})
	w.must(err)
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "await"))

	channels := map[string]int{}
	for _, m := range w.messages(s.Number()) {
		channels[m.Channel]++
		if strings.Contains(m.To, "mail.tidewater") {
			t.Errorf("a notice went to the compromised mailbox %s", m.To)
		}
	}
	res, err := w.Client("tidewater", "dpo").ListMessagesWithResponse(w.ctx, s.Number(), &client.ListMessagesParams{})
	w.must(err)
	for _, m := range res.JSON200.Messages {
		if m.ExposedChannel != (m.Channel == "sms") {
			t.Errorf("the record of person %d by %s says that a channel was left out: %v", m.Person, m.Channel, m.ExposedChannel)
		}
	}
	if channels["email"] != 3 || channels["sms"] != 3 {
		t.Errorf("messages by channel: %v, want 3 by email and 3 by SMS", channels)
	}
}
