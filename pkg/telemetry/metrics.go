package telemetry

// The metrics that answer questions. Prometheus writes the dots as
// underscores and adds the unit: tocsin_duty_margin_seconds.
const (
	// DutyMargin is a gauge in seconds: how much time is left until an open duty
	// is due, negative when late. Attributes: org, case, duty, rule.
	DutyMargin = "tocsin.duty.margin"
	// Notices is a gauge: rows of the ledger by state and channel. "in_doubt" is
	// one of the states. Attributes: org, state, channel.
	Notices = "tocsin.notices"
	// DeadLetters is a gauge: messages parked and not yet retried. Attributes: service, handler.
	DeadLetters = "tocsin.dead_letters"
	// HandlerDuration is a histogram in seconds: the time one message takes a
	// handler. Attributes: service, handler, outcome ("done", "retried", "parked").
	HandlerDuration = "tocsin.handler.duration"
)

// The units of the metrics above, in UCUM.
const (
	UnitSeconds  = "s"
	UnitNotices  = "{notice}"
	UnitMessages = "{message}"
)
