package sendgrid

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/sendgrid/rest"

	"tocsin.dev/services/notice/carrier"
)

// Limits of scheduled sends, from SendGrid's reference.
const (
	// CancelBefore is how long before its send_at a mail can surely be cancelled.
	CancelBefore = 10 * time.Minute
	// MostCancelled is how many batches of an account may be cancelled or paused at once.
	MostCancelled = 10
	// MaxAhead is how far ahead a mail can be scheduled.
	MaxAhead = 72 * time.Hour
)

// NewBatch makes an id under which a mail can be scheduled and cancelled. It is
// empty unless the answer is Accepted; an id that is not used does nothing.
func (c *Client) NewBatch(ctx context.Context) (string, carrier.Answer) {
	a, text := c.post(ctx, rest.Post, "/v3/mail/batch", nil)
	var made struct {
		ID string `json:"batch_id"`
	}
	if a.Class == carrier.Accepted && (json.Unmarshal([]byte(text), &made) != nil || made.ID == "") {
		return "", carrier.Answer{Class: carrier.NotSent, Status: a.Status, Detail: "2xx without a readable batch"}
	}
	return made.ID, a
}

// stop is SendGrid's form of a cancelled batch.
type stop struct {
	Batch  string `json:"batch_id"`
	Status string `json:"status"`
}

const cancelled = "cancel"

// Cancel asks SendGrid to discard every mail of a batch when it is due. Accepted
// means that it will; any other answer but Refused, that it may.
func (c *Client) Cancel(ctx context.Context, batch string) carrier.Answer {
	body, err := json.Marshal(stop{batch, cancelled})
	if err != nil { // strings always encode
		return carrier.Answer{Class: carrier.Refused, Detail: err.Error()}
	}
	a, text := c.post(ctx, rest.Post, "/v3/user/scheduled_sends", body)
	var said stop
	switch {
	case a.Class == carrier.Accepted && (json.Unmarshal([]byte(text), &said) != nil || said.Batch != batch || said.Status != cancelled):
		return carrier.Answer{Class: carrier.InDoubt, Status: a.Status, Detail: "2xx without a readable cancellation"}
	case a.Status == http.StatusBadRequest: // it is cancelled already, too many are, or the batch is unknown
		a.Class = carrier.Refused
	}
	return a
}

// Cancelled reports whether a cancellation of a batch is in force. It is known
// only if the answer is Accepted.
func (c *Client) Cancelled(ctx context.Context, batch string) (bool, carrier.Answer) {
	a, text := c.post(ctx, rest.Get, "/v3/user/scheduled_sends/"+url.PathEscape(batch), nil)
	if a.Class != carrier.Accepted {
		return false, a
	}
	var all []stop
	if json.Unmarshal([]byte(text), &all) != nil {
		return false, carrier.Answer{Class: carrier.InDoubt, Status: a.Status, Detail: "2xx without a readable list"}
	}
	for _, one := range all {
		if one.Batch == batch && one.Status == cancelled {
			return true, a
		}
	}
	return false, a
}

// Forget gives the place of a cancelled batch back. Before its send_at it would
// send the batch after all.
func (c *Client) Forget(ctx context.Context, batch string) carrier.Answer {
	a, _ := c.post(ctx, rest.Delete, "/v3/user/scheduled_sends/"+url.PathEscape(batch), nil)
	if a.Status == http.StatusNotFound { // it has no place any more
		a.Class = carrier.Accepted
	}
	return a
}
