package desk

import (
	"fmt"
	"slices"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
)

// TaskState is where one step of a case stands.
type TaskState string

// The states of a task.
const (
	NotReady   TaskState = "not_ready"
	ToDo       TaskState = "to_do"
	InProgress TaskState = "in_progress"
	Done       TaskState = "done"
	Problem    TaskState = "problem"
)

// Task is one step of the way through a case.
type Task struct {
	// Name is "scope", "assess", "wording", "approve", "notify_regulator", "notify_people" or "close".
	Name  string
	State TaskState
	Note  string
}

// Tasks says what is done and what is next. It decides nothing.
func Tasks(c *casefile.Case, now time.Time) []Task {
	return []Task{scopeTask(c), assessTask(c), wordingTask(c), approveTask(c, now), regulatorTask(c), peopleTask(c, now), closeTask(c)}
}

func scopeTask(c *casefile.Case) Task {
	t := Task{Name: "scope", State: ToDo, Note: "State which data were exposed, and when."}
	latest := c.Latest()
	if c.Exposure == nil {
		if latest != nil {
			t.State, t.Note = Done, fmt.Sprintf("%s people on list %d.", Number(latest.People), latest.Revision)
		}
		return t
	}
	switch reason, refused := c.Refused[c.Exposure.EventID]; {
	case refused:
		t.State, t.Note = Problem, reason
	case latest == nil || latest.Statement != c.Exposure.EventID:
		t.State, t.Note = InProgress, "The list of people is being sealed."
	default:
		t.State, t.Note = Done, fmt.Sprintf("%s people on list %d.", Number(latest.People), latest.Revision)
	}
	return t
}

func assessTask(c *casefile.Case) Task {
	if c.Risk == nil {
		return Task{"assess", ToDo, "Decide the risk to the people affected."}
	}
	return Task{"assess", Done, "Decided: " + RiskWords(c.Risk.Level) + "."}
}

func wordingTask(c *casefile.Case) Task {
	if len(c.Texts) == 0 {
		return Task{"wording", ToDo, "Write the texts that people will read."}
	}
	rejected := 0
	for _, t := range c.Texts {
		if t.Rejected != "" {
			rejected++
		}
	}
	if rejected > 0 {
		return Task{"wording", Problem, count(rejected, "text") + " sent back."}
	}
	return Task{"wording", Done, count(len(c.Texts), "text") + " written."}
}

func approveTask(c *casefile.Case, now time.Time) Task {
	if a, people := standing(c, "", now); a != nil {
		return Task{"approve", Done, fmt.Sprintf("Approved by %s.", count(len(people), "person"))}
	}
	if len(c.Approvals) > 0 {
		last := c.Approvals[len(c.Approvals)-1]
		return Task{"approve", Problem, "No approval stands: " + c.Stale(last.Approval, now) + "."}
	}
	if len(c.Texts) == 0 || c.Latest() == nil {
		return Task{"approve", NotReady, "Needs texts and a sealed list."}
	}
	return Task{"approve", ToDo, "Somebody who wrote none of the texts must read and approve them."}
}

func regulatorTask(c *casefile.Case) Task {
	t := Task{Name: "notify_regulator", State: NotReady, Note: "No duty towards a regulator is known."}
	open, missed, settled := 0, 0, 0
	for _, d := range c.Duties {
		if d.ToKind == "people" || !d.Binds() {
			continue
		}
		switch d.State {
		case casefile.DutyOpen:
			open++
		case casefile.DutyMissed:
			missed++
		case casefile.DutyMet, casefile.DutyWaived:
			settled++
		}
	}
	switch {
	case missed > 0:
		t.State, t.Note = Problem, count(missed, "duty")+" late."
		if missed > 1 {
			t.Note = fmt.Sprintf("%d duties late.", missed)
		}
	case open > 0:
		t.State, t.Note = ToDo, "File, then record the evidence."
	case settled > 0:
		t.State, t.Note = Done, "Met or waived."
	}
	return t
}

func peopleTask(c *casefile.Case, now time.Time) Task {
	if len(c.Orders) == 0 {
		if a, _ := standing(c, "", now); a != nil {
			return Task{"notify_people", ToDo, "The wording is approved. Order the sending."}
		}
		return Task{"notify_people", NotReady, "Order the sending once the wording is approved."}
	}
	o := c.Orders[len(c.Orders)-1]
	switch {
	case o.State == casefile.OrderCompleted:
		return Task{"notify_people", Done, tallyNote(o)}
	case o.Refused != nil:
		return Task{"notify_people", Problem, "The sender refused: " + o.Refused.Detail}
	case o.State == casefile.OrderStopped:
		return Task{"notify_people", Problem, "Stopped. " + tallyNote(o)}
	case o.Blocked != nil:
		return Task{"notify_people", Problem, o.Blocked.Detail}
	}
	return Task{"notify_people", InProgress, tallyNote(o)}
}

func tallyNote(o *casefile.Order) string {
	if o.Tally == nil {
		return "The sending is being prepared."
	}
	return fmt.Sprintf("%s of %s people told.", Number(o.Tally.Told), Number(o.Tally.People)) + publicWords(*o.Tally)
}

// publicWords says for how many people the public notice stands, if for any.
func publicWords(t event.Tally) string {
	if t.Public == 0 {
		return ""
	}
	return fmt.Sprintf(" For %s who were not written to, the public notice stands.", Number(t.Public))
}

func closeTask(c *casefile.Case) Task {
	switch {
	case c.Status == casefile.StatusClosed:
		return Task{"close", Done, c.Closed.Reason}
	case unfinished(c) != "":
		return Task{"close", NotReady, "Duties must be met or waived first."}
	}
	return Task{"close", ToDo, "Close the case with a reason."}
}

func sortCases(cases []*casefile.Case) {
	slices.SortFunc(cases, func(a, b *casefile.Case) int { return compareNumbers(b.Number, a.Number) })
}
