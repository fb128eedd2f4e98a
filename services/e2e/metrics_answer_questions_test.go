package e2e

import (
	"io"
	"strings"
	"testing"
)

// The metrics that alerts and dashboards ask for are there after a case, under
// the names they use, and carry no person.
func TestMetricsAnswerTheQuestionsOfAnOperator(t *testing.T) {
	listen := freePort(t)
	w := begin(t, 20, func(w *world) { w.settings.MetricsListen = listen })
	s := w.Story("tidewater", io.Discard)
	w.must(s.UpTo(w.ctx, "await"))
	wanted := []string{
		`tocsin_duty_margin_seconds{`,            // how much time is left?
		`tocsin_notice_messages_total{`,          // what became of the notices?
		`tocsin_handler_duration_seconds_count{`, // how long do handlers take?
	}
	var page string
	w.eventually("the metrics", func() bool {
		_, page = w.get("http://" + listen + "/metrics")
		for _, name := range wanted {
			if !strings.Contains(page, name) {
				return false
			}
		}
		return true
	})
	for _, line := range strings.Split(page, "\n") {
		if strings.Contains(line, "@") || strings.Contains(line, "+44") {
			t.Errorf("a metric carries an address: %s", line)
		}
	}
}
