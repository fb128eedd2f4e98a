package desk

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"time"

	"tocsin.dev/pkg/event"
)

type settleForm struct{ Decision, Reason string }

func (s *Service) pageDoubts(w http.ResponseWriter, r *http.Request, u User) error {
	return s.renderDoubts(w, r, u, settleForm{}, nil)
}

func (s *Service) renderDoubts(w http.ResponseWriter, r *http.Request, u User, f settleForm, cause error) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	doubts, err := s.Doubts(r.Context(), u, c.Number)
	if err != nil {
		return err
	}
	page := struct {
		casePage
		Doubts    event.DoubtsAnswer
		F         settleForm
		Decisions []option
		MaySettle bool
	}{s.caseFrame(r, u, c, "Messages in doubt"), doubts, f, []option{
		{Value: "resend", Text: "Send again", Hint: "The message is marked as a possible duplicate."},
		{Value: "accept", Text: "Count as told", Hint: "Nothing is sent again on this channel."},
		{Value: "drop", Text: "Leave the channel", Hint: "The next channel of each person is used."}}, u.Has(maySettle...)}
	return s.renderForm(w, "doubts", &page.Frame, &page, cause)
}

func (s *Service) doSettle(w http.ResponseWriter, r *http.Request, u User) error {
	if err := r.ParseForm(); err != nil {
		return badRequest(err)
	}
	on, f := onOf(r), settleForm{r.PostForm.Get("decision"), r.PostForm.Get("reason")}
	var attempts []int64
	for _, v := range r.PostForm["attempts"] {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			attempts = append(attempts, n)
		}
	}
	n, err := s.Settle(r.Context(), u, on, "", attempts, f.Decision, f.Reason)
	if err != nil {
		return s.renderDoubts(w, r, u, f, err)
	}
	return s.done(w, r, "/cases/"+on.Case+"/doubts", "Decided for "+Number(n)+" people")
}

func (s *Service) pageReport(w http.ResponseWriter, r *http.Request, u User) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	report, err := s.Report(r.Context(), u, c.Number)
	if err != nil {
		return err
	}
	page := struct {
		casePage
		Report event.ReportAnswer
	}{s.caseFrame(r, u, c, "Delivery report"), report}
	return s.pages.Render(w, http.StatusOK, "report", &page)
}

func (s *Service) reportCSV(w http.ResponseWriter, r *http.Request, u User) error {
	number := r.PathValue("number")
	report, err := s.Report(r.Context(), u, number)
	if err != nil {
		return err
	}
	out := csvTo(w, "report-"+number)
	lines := [][]string{{"notice", "channel", "place", "state", "reason", "people"}}
	for _, l := range report.Lines {
		lines = append(lines, []string{l.Kind, l.Channel, l.Jurisdiction, l.State, l.Reason, strconv.FormatInt(l.People, 10)})
	}
	_ = out.WriteAll(lines) // the reader is gone if this fails
	return nil
}

// csvTo begins a CSV file of the given name, without its ending.
func csvTo(w http.ResponseWriter, name string) *csv.Writer {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	return csv.NewWriter(w)
}

// unreachedCSV streams the people whom no channel reached, a page at a time.
// They are numbers here as everywhere; who they are is asked of scope.
func (s *Service) unreachedCSV(w http.ResponseWriter, r *http.Request, u User) error {
	number := r.PathValue("number")
	f := MessageFilter{State: "unreachable", Limit: 1000}
	page, next, err := s.Messages(r.Context(), u, number, f)
	if err != nil {
		return err
	}
	out := csvTo(w, "unreached-"+number)
	_ = out.Write([]string{"person", "notice", "place", "reason", "since_utc"})
	for {
		for _, m := range page {
			_ = out.Write([]string{strconv.FormatInt(int64(m.Person), 10), m.Kind, m.Jurisdiction, m.Reason, m.At.UTC().Format(time.RFC3339)})
		}
		out.Flush()
		if next == "" || out.Error() != nil { // the reader is gone if writing fails
			return nil
		}
		f.After = next
		if page, next, err = s.Messages(r.Context(), u, number, f); err != nil {
			// The answer has begun: only a broken transfer can tell that it is not whole.
			s.cfg.Log.ErrorContext(r.Context(), "a list of unreached people broke off", "case", number, "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}
