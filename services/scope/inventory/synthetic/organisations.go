package synthetic

import (
	"fmt"
	"slices"
	"strings"

	"tocsin.dev/pkg/category"
	"tocsin.dev/services/scope/inventory"
)

// profile is what is particular to an organisation.
type profile struct {
	domain   string
	home     map[string]int // weight of a country instead of its usual one
	systems  []inventory.System
	datasets []held
	shape    func(r source, i int, p *Row)
}

// held is a dataset with the share of people who have a record in it, in percent.
type held struct {
	inventory.Dataset
	share int
	// only limits it to a relation; empty means all.
	only string
}

func dataset(key, name, keys string, share int) held {
	set, err := category.ParseAll(strings.Fields(keys))
	if err != nil {
		panic(err) // the keys stand in this file
	}
	system, _, _ := strings.Cut(key, ".")
	return held{Dataset: inventory.Dataset{Key: key, System: system, Name: name, Categories: set, Role: "controller", Medium: "electronic"}, share: share}
}

func (h held) kept(months int) held { h.RetentionMonths = months; return h }

func (h held) paper() held { h.Medium = "paper"; return h }

func (h held) forPartner(name string) held { h.Role, h.Controller = "processor", name; return h }

func (h held) of(relation string) held { h.only = relation; return h }

func (h held) purpose(text string) held { h.Purpose = text; return h }

// Organisations are the ids with a profile of their own; any other gets the
// plain one.
func Organisations() []string {
	return []string{"nimbus", "vardag", "tidewater", "clearline", "mindloom"}
}

func profileOf(org string) profile {
	switch org {
	case "nimbus":
		return nimbus()
	case "vardag":
		return vardag()
	case "tidewater":
		return tidewater()
	case "clearline":
		return clearline()
	case "mindloom":
		return mindloom()
	}
	return plain()
}

// plain spreads people evenly; two and a half records each.
func plain() profile {
	return profile{
		domain:  "mail.example.test",
		systems: []inventory.System{{Key: "crm", Name: "Customer records"}, {Key: "shop", Name: "Shop"}},
		datasets: []held{
			dataset("crm.customers", "Customers", "user.name user.contact.email user.contact.address", 95),
			dataset("shop.orders", "Orders", "user.behavior.purchase_history user.financial.credit_card", 70),
			dataset("shop.accounts", "Accounts", "user.account.username user.authorization.password", 60),
			dataset("crm.support", "Support", "user.content.private", 25),
		},
		shape: func(source, int, *Row) {},
	}
}

// nimbus: a quarter from bought lists, many without a known country, former
// clients and business contacts.
func nimbus() profile {
	return profile{
		domain:  "nimbus-client.example.test",
		home:    map[string]int{"GB": 60, "IE": 20, "US": 20},
		systems: []inventory.System{{Key: "crm", Name: "Client records"}, {Key: "lists", Name: "Mailing lists"}, {Key: "billing", Name: "Billing"}, {Key: "portal", Name: "Client portal"}},
		datasets: []held{
			dataset("crm.clients", "Clients and contacts", "user.name user.contact.email user.contact.phone_number user.contact.address user.job_title user.content.private", 75),
			dataset("crm.identity-checks", "Identity checks", "user.government_id.passport_number user.demographic.date_of_birth", 10),
			dataset("lists.bought", "Bought mailing lists", "user.name user.contact.email", 100).of("bought_list").purpose("direct marketing"),
			dataset("billing.cards", "Card payments", "user.financial.credit_card user.behavior.purchase_history", 35).of("customer"),
			dataset("portal.users", "Portal sign-ins", "user.account.username user.authorization.password user.location", 60),
		},
		shape: func(r source, i int, p *Row) {
			switch n := r.IntN(100); {
			case n < 25:
				p.Relation, p.Source = "bought_list", "Contact list bought in 2024 from a list broker"
				p.Phone, p.Address = "", nil
			case n < 40:
				p.Relation = "former"
			case n < 55:
				p.Relation = "business_contact"
			}
			if r.IntN(100) < 22 {
				p.unknownCountry()
			}
		},
	}
}

// vardag: Swedish, and a third of its people are known by their robot alone.
func vardag() profile {
	return profile{
		domain:  "vardagspost.example.test",
		home:    map[string]int{"SE": 400, "DK": 40, "NO": 40, "FI": 30},
		systems: []inventory.System{{Key: "devices", Name: "Device cloud"}, {Key: "app", Name: "App accounts"}, {Key: "shop", Name: "Web shop"}, {Key: "support", Name: "Customer support"}},
		datasets: []held{
			dataset("devices.telemetry", "Device logs and crash data", "user.device user.telemetry user.location", 88),
			dataset("app.accounts", "App accounts", "user.name user.contact.email user.authorization.password", 68),
			dataset("shop.orders", "Orders", "user.name user.contact.address user.contact.phone_number user.financial.bank_account user.behavior.purchase_history", 40),
			dataset("support.messages", "Support messages", "user.name user.content.private", 20),
		},
		shape: func(r source, i int, p *Row) {
			if r.IntN(100) < 30 {
				p.deviceOnly()
			}
		},
	}
}

// tidewater: records older than promised, security answers, household mailboxes.
func tidewater() profile {
	return profile{
		domain:  "mailbox.example.test",
		home:    map[string]int{"GB": 1200, "IE": 30},
		systems: []inventory.System{{Key: "billing", Name: "Billing"}, {Key: "portal", Name: "Customer portal"}, {Key: "contact", Name: "Contact centre"}, {Key: "web", Name: "Website"}},
		datasets: []held{
			dataset("portal.accounts", "Portal accounts", "user.name user.contact.email user.authorization.password user.authorization.security_question", 85).kept(36),
			dataset("billing.customers", "Customers", "user.name user.demographic user.demographic.date_of_birth user.contact.address user.contact.phone_number user.contact.email", 96).kept(36),
			dataset("billing.payments", "Payment details", "user.financial.bank_account user.financial.credit_card", 55).kept(36),
			dataset("contact.records", "Email, chat and call records", "user.content.private user.content.self_image", 30),
			dataset("web.visitors", "Cookies and social profiles", "user.device user.behavior", 25),
		},
		shape: func(r source, i int, p *Row) {
			if r.IntN(100) < 9 { // kept longer than 36 months
				p.lastActive(r, 37*30, 70*30)
				p.Relation = "former"
			}
			p.Preference = [...]string{"", "", "email", "sms", "post"}[r.IntN(5)]
		},
	}
}

// clearline: mostly other companies' customers; many only a mobile number,
// written in foreign ways, or a city and a country.
func clearline() profile {
	return profile{
		domain:  "clearmail.example.test",
		home:    map[string]int{"AU": 200, "ZA": 160, "GB": 60},
		systems: []inventory.System{{Key: "brightwave", Name: "Desk of Brightwave"}, {Key: "solara", Name: "Desk of Solara Travel"}, {Key: "kindred", Name: "Desk of Kindred Mutual"}, {Key: "site", Name: "Own site"}},
		datasets: []held{
			dataset("brightwave.tickets", "Support conversations", "user.name user.contact.email user.contact.phone_number user.content.private user.device", 40).forPartner("brightwave"),
			dataset("solara.tickets", "Support conversations", "user.name user.contact.email user.contact.phone_number user.content.private user.location", 35).forPartner("solara-travel"),
			dataset("kindred.tickets", "Support conversations", "user.name user.contact.phone_number user.content.private user.financial", 30).forPartner("kindred-mutual"),
			dataset("site.contests", "Contest entries", "user.name user.contact.email user.contact.address", 15),
			dataset("site.visitors", "Visitors", "user.device user.behavior", 20),
		},
		shape: func(r source, i int, p *Row) {
			switch n := r.IntN(100); {
			case n < 25: // mobile number only
				p.Email, p.Address, p.Given, p.Family, p.Born = "", nil, "", "", 0
				if p.Phone == "" {
					p.Phone = british(r)
				}
			case n < 45: // city and country only
				p.Address = nil
			}
			p.PhoneText = foreign(r, p.Phone)
			p.Preference = [...]string{"", "email", "sms", "voice", "fax", "post"}[r.IntN(6)]
			if p.Preference == "fax" && p.Email+p.Given != "" {
				p.Fax = fmt.Sprintf("+441632960%03d", i%1000)
			}
		},
	}
}

// mindloom: applicants, third persons, precise location, a paper cabinet.
func mindloom() profile {
	return profile{
		domain:  "loommail.example.test",
		home:    map[string]int{"GB": 300, "IE": 40},
		systems: []inventory.System{{Key: "crm", Name: "Customers"}, {Key: "hr", Name: "Recruiting"}, {Key: "app", Name: "App"}, {Key: "cabinet", Name: "Filing cabinet"}},
		datasets: []held{
			dataset("crm.customers", "Customers", "user.name user.contact.email user.contact.address user.contact.phone_number user.job_title", 80).of("customer"),
			dataset("crm.support", "Support content", "user.content.private", 30),
			dataset("hr.applications", "Job applications", "user.name user.contact user.workplace user.education", 100).of("applicant"),
			dataset("app.location", "Precise location", "user.location.precise user.device", 45).of("customer"),
			dataset("cabinet.files", "Paper files", "user.name user.contact.address user.financial", 30).paper(),
		},
		shape: func(r source, i int, p *Row) {
			switch n := r.IntN(100); {
			case n < 12:
				p.Relation = "applicant"
			case n < 20:
				p.Relation = "third_person"
				p.Email, p.Phone = "", ""
			}
			if r.IntN(100) < 15 { // name without address
				p.Address = nil
				if r.IntN(2) == 0 {
					p.Email, p.Phone = "", ""
				}
			}
		},
	}
}

// countriesOf returns the places of a profile with their weights, cumulated.
func (f profile) countries() []int {
	sums := make([]int, len(places))
	total := 0
	for i, c := range places {
		w := c.weight
		if f.home != nil {
			w = (w + 9) / 10 // elsewhere is rare
			if own := f.home[c.code]; own > 0 {
				w = own
			}
		}
		total += w
		sums[i] = total
	}
	return sums
}

func pick(r source, sums []int) int {
	n := r.IntN(sums[len(sums)-1])
	i, _ := slices.BinarySearch(sums, n+1)
	return i
}

func refOf(i int) string { return fmt.Sprintf("P%08d", i+1) }
