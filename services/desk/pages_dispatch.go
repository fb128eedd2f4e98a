package desk

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/organisation"
	"tocsin.dev/pkg/person"
	"tocsin.dev/services/desk/console"
)

type orderForm struct{ ConfirmCase, ConfirmPeople string }

// orderView is an order as a page shows it.
type orderView struct {
	O   *casefile.Order
	Who string
}

func (s *Service) pageDispatch(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderDispatch(w, r, u, orderForm{}, nil)
}

func (s *Service) renderDispatch(w http.ResponseWriter, r *http.Request, u User, f orderForm, cause error) error {
	if _, err := mayAct(u, mayRead); err != nil {
		return err
	}
	check, c, err := s.CheckDispatch(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	org, err := s.cfg.Organisations.Get(u.Org)
	if err != nil {
		return err
	}
	page := struct {
		casePage
		Check                     DispatchCheck
		F                         orderForm
		Approvers                 []string
		Sender, Cooling, Earliest string
		Canaries                  string
		Samples                   []textView
		Orders                    []orderView
		Forecast                  *event.ForecastAnswer
		InTime                    string
	}{casePage: s.caseFrame(r, u, c, "Tell the people"), Check: check, F: f, Sender: senderWords(org), Canaries: canaryWords(check)}
	for _, id := range check.Approvers {
		page.Approvers = append(page.Approvers, s.userName(id))
	}
	if s.cfg.Cooling > 0 {
		page.Cooling = console.Span(s.cfg.Cooling)
	}
	page.Earliest = s.earliest(c, page.Zone)
	if check.Ready() {
		page.Samples = s.textViews(c)
		for i := range page.Samples {
			t := &page.Samples[i]
			t.rendered = render(org, c, t.T.TextKey, t.T.Subject, t.T.Body)
		}
	}
	if check.Approval != nil {
		// A forecast that cannot be had takes nothing from the page.
		if f, err := s.Forecast(r.Context(), u, c.Number, check.Approval.Channels); err == nil && !f.P90.IsZero() {
			page.Forecast, page.InTime = &f, strconv.Itoa(int(math.Floor(100*f.InTime)))+" %"
		}
	}
	for _, o := range slices.Backward(c.Orders) {
		page.Orders = append(page.Orders, orderView{o, s.name(o.OrderedBy)})
	}
	return s.renderForm(w, "dispatch", &page.Frame, &page, cause)
}

func senderWords(org *organisation.Organisation) string {
	return join(strings.TrimSpace(org.Sender.EmailName+" "+org.Sender.Email), org.Sender.SMS)
}

// earliest says the first due instant of the open duties towards people.
func (s *Service) earliest(c *casefile.Case, zone *time.Location) string {
	for _, d := range Duties(c) {
		if d.ToKind == "people" && d.Due != nil && (d.State == casefile.DutyOpen || d.State == casefile.DutyMissed) {
			return console.Instant(*d.Due, zone) + ", " + console.Left(*d.Due, s.cfg.Now()) + ": " + d.Title
		}
	}
	return ""
}

func (s *Service) doOrder(w http.ResponseWriter, r *http.Request, u User) error {
	f := orderForm{strings.TrimSpace(r.PostFormValue("confirm_case")), strings.TrimSpace(r.PostFormValue("confirm_people"))}
	on, bad := onOf(r), &Invalid{}
	if !strings.EqualFold(f.ConfirmCase, on.Case) {
		bad.add("confirm_case", "This is not the number of the case; type %s", on.Case)
	}
	if f.ConfirmPeople == "" {
		bad.add("confirm_people", "Type the number of people")
	}
	err := bad.or()
	var o *casefile.Order
	if err == nil {
		o, err = s.OrderDispatch(r.Context(), u, on, Order{Confirm: f.ConfirmCase + " " + f.ConfirmPeople})
	}
	var wrong *Invalid
	if errors.As(err, &wrong) {
		err = rename(wrong, "confirm", "confirm_people")
	}
	if err != nil {
		return s.renderDispatch(w, r, u, f, err)
	}
	return s.done(w, r, "/cases/"+on.Case+"/dispatch/"+o.Order, "Ordered")
}

// bar is the stacked bar of one channel.
type bar struct {
	Name, Label string
	All         int64
	Parts       []barPart
}

type barPart struct {
	console.Part
	ID string
}

// ledgerStates are the states of the ledger in the order of the bar, with its colour.
var ledgerStates = []struct{ state, name, class string }{
	{"delivered", "Delivered", "p-delivered"}, {"accepted", "Accepted by the provider", "p-accepted"}, {"silent", "Accepted, no receipt came", "p-accepted"},
	{"deferred", "Deferred, the provider tries again", "p-accepted"}, {"submitted", "Being handed over", "p-planned"}, {"planned", "Queued", "p-planned"},
	{"held", "Held for a person's decision", "p-held"}, {"in_doubt", "In doubt", "p-doubt"}, {"failed", "Failed or bounced", "p-failed"},
	{"refused", "Refused by the provider", "p-failed"}, {"unreachable", "No usable address left", "p-none"}, {"withdrawn", "Not needed any more", "p-none"},
	{"excluded", "Left out by decision", "p-none"}, {"stopped", "Stopped before it left", "p-none"},
}

// bars lays out the tally, one bar a channel.
func bars(t event.Tally) []bar {
	var out []bar
	for _, ch := range channelNames(t) {
		b := bar{Name: channelWord(ch)}
		var parts []console.Part
		states := t.States[ch]
		known := map[string]bool{}
		for _, st := range ledgerStates {
			known[st.state] = true
			if n := states[st.state]; n > 0 || st.state == "delivered" || st.state == "planned" || st.state == "accepted" {
				parts = append(parts, console.Part{Name: st.name, Class: st.class, Count: n})
				b.Parts = append(b.Parts, barPart{ID: "bar-" + ch + "-" + st.state})
			}
		}
		for _, row := range console.Rows(states) {
			if !known[row.Name] {
				parts = append(parts, console.Part{Name: row.Name, Class: "p-none", Count: row.Count})
				b.Parts = append(b.Parts, barPart{ID: "bar-" + ch + "-" + row.Name})
			}
		}
		var words []string
		for i, p := range console.Bar(parts) {
			p.X, p.W = math.Round(p.X*100)/100, math.Round(p.W*100)/100
			b.Parts[i].Part, b.All = p, b.All+p.Count
			if p.Count > 0 {
				words = append(words, strings.ToLower(p.Name)+" "+Number(p.Count))
			}
		}
		b.Label = strings.Join(words, ", ")
		out = append(out, b)
	}
	return out
}

func channelNames(t event.Tally) []string {
	order := []string{"email", "sms", "post", "fax", "voice", "page", "none"}
	var names []string
	for ch := range t.States {
		names = append(names, ch)
	}
	slices.SortFunc(names, func(a, b string) int {
		return slices.Index(order, a) - slices.Index(order, b)
	})
	return names
}

func channelWord(ch string) string {
	switch ch {
	case "sms":
		return "SMS"
	case "none":
		return "No channel"
	}
	return strings.ToUpper(ch[:1]) + ch[1:]
}

// progressWords says in a sentence how far a sending is.
func progressWords(p Progress) string {
	t := p.Tally
	return fmt.Sprintf("%s of %s people told, %s to go, %s in doubt, %s unreachable.", Number(t.Told), Number(t.People), Number(t.Pending), Number(t.InDoubt), Number(t.Unreachable)) + publicWords(t)
}

type progressPage struct {
	casePage
	O                    *casefile.Order
	Who, Self            string
	Tally                *event.Tally
	Channels             []bar
	Words                string
	Canaries             string
	Rate, Finish, Margin string
	Problem              string
	Steer, MayOrder      bool
	Holding              bool
}

func (s *Service) pageProgress(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderProgress(w, r, u, nil)
}

func (s *Service) renderProgress(w http.ResponseWriter, r *http.Request, u User, cause error) error {
	if _, err := mayAct(u, mayRead); err != nil {
		return err
	}
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	o := c.Order(r.PathValue("order"))
	if o == nil {
		return ErrNotFound
	}
	page := progressPage{casePage: s.caseFrame(r, u, c, "Progress of the sending"), O: o, Who: s.name(o.OrderedBy),
		Self: "/cases/" + c.Number + "/dispatch/" + o.Order, Steer: !o.Ended() && u.Has(mayStop...), MayOrder: u.Has(mayOrder...)}
	page.Back, page.BackText = "/cases/"+c.Number+"/dispatch", "Tell the people"
	page.Live = page.Self + "/live"
	page.Holding = o.NotBefore != nil && o.NotBefore.After(page.Now) && !o.Ended()
	p, err := s.Progress(r.Context(), u, c.Number, o.Order)
	if err != nil {
		page.Problem = answer(err).Message
	} else if p.Tally.People > 0 {
		page.Tally, page.Channels, page.Words = &p.Tally, bars(p.Tally), progressWords(p)
		page.Canaries = canariesSoFar(p.Canaries)
		s.addForecast(&page, p)
	}
	return s.renderForm(w, "progress", &page.Frame, &page, cause)
}

// addForecast says rate, finish and margin, or that it is too early to tell.
func (s *Service) addForecast(page *progressPage, p Progress) {
	if page.O.Ended() {
		return
	}
	if p.Tally.Pending == 0 {
		page.Finish = "Everybody on the list has been dealt with. Receipts may still come in."
		return
	}
	if p.PerSecond > 0 && p.FirstSentAt != nil && page.Now.Sub(*p.FirstSentAt) >= steady {
		page.Rate = fmt.Sprintf("%s messages a minute so far, on average.", Number(int64(math.Round(60*p.PerSecond))))
	}
	if p.FinishTo.IsZero() {
		page.Finish = "The end is being estimated."
		return
	}
	page.Finish = fmt.Sprintf("Likely finished between %s and %s.", p.FinishFrom.In(page.Zone).Format("15:04"), console.Instant(p.FinishTo, page.Zone))
	for _, d := range Duties(page.Case) {
		if d.ToKind != "people" || d.Due == nil || (d.State != casefile.DutyOpen && d.State != casefile.DutyMissed) {
			continue
		}
		if margin := d.Due.Sub(p.FinishTo); margin >= 0 {
			page.Margin = fmt.Sprintf("That is %s before the earliest deadline towards people, %s.", console.Span(margin), console.Instant(*d.Due, page.Zone))
		} else {
			page.Margin = fmt.Sprintf("That is %s after the earliest deadline towards people, %s. Raise the provider's limit or add a channel.", console.Span(-margin), console.Instant(*d.Due, page.Zone))
		}
		return
	}
}

func (s *Service) doSteer(w http.ResponseWriter, r *http.Request, u User) error {
	on, order, reason := onOf(r), r.PathValue("order"), r.PostFormValue("reason")
	on.Seen = 0 // stopping must not wait for anybody to read on
	done, steer := "Stopped. Nothing more leaves; what had left is counted below.", s.StopDispatch
	switch r.PathValue("act") {
	case "stop":
	case "pause":
		done, steer = "Paused", s.PauseDispatch
	case "resume":
		done, steer = "Resumed", s.ResumeDispatch
	default:
		return ErrNotFound
	}
	if _, err := steer(r.Context(), u, on, order, reason); err != nil {
		return s.renderProgress(w, r, u, err)
	}
	return s.done(w, r, "/cases/"+on.Case+"/dispatch/"+order, done)
}

// messageForm is the filter of the messages page as it stands in the address.
type messageForm struct{ Person, Channel, State string }

func (s *Service) pageMessages(w http.ResponseWriter, r *http.Request, u User) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := messageForm{strings.TrimSpace(q.Get("person")), q.Get("channel"), q.Get("state")}
	number, badNumber := strconv.ParseUint(f.Person, 10, 32)
	page := struct {
		casePage
		pageLinks
		F                messageForm
		Messages         []event.MessageRow
		Channels, States []option
		Problem          string
		Filtered         bool
	}{casePage: s.caseFrame(r, u, c, "Messages"), F: f, Filtered: f.Person != "" || f.Channel != "" || f.State != "",
		Channels: append([]option{{Value: "", Text: "Any"}}, options([]string{"email", "sms", "post", "fax"})...), States: []option{{Value: "", Text: "Any"}}}
	for _, st := range ledgerStates {
		page.States = append(page.States, option{Value: st.state, Text: st.name})
	}
	var next string
	if f.Person != "" && badNumber != nil {
		page.Problem = "A person number has digits only."
		return s.pages.Render(w, http.StatusBadRequest, "messages", &page)
	}
	page.Messages, next, err = s.Messages(r.Context(), u, c.Number, MessageFilter{Person: person.Number(number), Channel: f.Channel, State: f.State,
		After: q.Get("after"), Limit: pageSize})
	if err != nil {
		page.Problem = answer(err).Message
	}
	page.pageLinks = links(r, "after", next)
	return s.pages.Render(w, http.StatusOK, "messages", &page)
}
