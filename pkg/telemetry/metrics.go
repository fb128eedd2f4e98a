package telemetry

// The metrics that answer questions. The dashboard and the alerts under
// deployments/ may ask for these and no others. Prometheus writes the dots as
// underscores and adds unit and kind: tocsin_duty_margin_seconds,
// tocsin_notice_messages_total.
const (
	// DutyMargin is a gauge in seconds: how much time is left until an open duty
	// is due, negative when late. Attributes: org, case, duty, rule.
	DutyMargin = "tocsin.duty.margin"
	// NoticeMessages counts messages that entered a state. Attributes: channel,
	// state ("in_doubt" and "held" among them), reason.
	NoticeMessages = "tocsin.notice.messages"
	// NoticeRequests counts requests to providers. Attributes: channel, class.
	NoticeRequests = "tocsin.notice.requests"
	// NoticeReceipts counts receipts. Attributes: provider, verdict.
	NoticeReceipts = "tocsin.notice.receipts"
	// NoticeRefused counts what was not sent because no approval covered it. Attribute: reason.
	NoticeRefused = "tocsin.notice.refused"
	// NoticeCanaries counts canaries of batches. Attributes: channel, verdict ("right",
	// "mismatch" or "unknown").
	NoticeCanaries = "tocsin.notice.canaries"
	// NoticeTallyMismatch counts tallies that did not add up to the sealed list.
	NoticeTallyMismatch = "tocsin.notice.tally_mismatch"
	// DeadLetters counts messages that were parked. Attribute: handler.
	DeadLetters = "tocsin.dead_letters"
	// HandlerDuration is a histogram in seconds: the time one message takes a
	// handler. Attributes: handler, outcome.
	HandlerDuration = "tocsin.handler.duration"
)

// UnitSeconds is the unit of times and durations, in UCUM; counts have none.
const UnitSeconds = "s"
