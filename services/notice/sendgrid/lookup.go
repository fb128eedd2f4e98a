package sendgrid

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sendgrid/rest"

	"tocsin.dev/services/notice/carrier"
)

// ErrLookup means that SendGrid's logs could not be asked: the account lacks
// them, or the call failed. It proves nothing about any mail.
type ErrLookup struct{ Answer carrier.Answer }

// Error implements error.
func (e ErrLookup) Error() string { return "sendgrid logs: " + e.Answer.Detail }

// Find asks SendGrid's Email Logs whether it has a mail of ours to an address
// since an instant, and returns the receipt of the mail that carries the
// notice, or nil if SendGrid knows none. The logs cannot be searched by custom
// argument, so the mails to the address are listed and each is opened.
func (c *Client) Find(ctx context.Context, address string, notice carrier.ID, since time.Time) (*carrier.Receipt, error) {
	if strings.ContainsAny(address, `'"\`) {
		return nil, fmt.Errorf("sendgrid logs: the address cannot be written in a query")
	}
	query := fmt.Sprintf("to_email = '%s' AND sg_message_id_created_at >= TIMESTAMP \"%s\"",
		address, since.UTC().Add(-time.Minute).Truncate(time.Second).Format(time.RFC3339))
	body, err := json.Marshal(map[string]any{"query": query, "limit": 100})
	if err != nil {
		return nil, fmt.Errorf("sendgrid logs: encode query: %w", err)
	}
	a, text := c.post(ctx, rest.Post, "/v3/logs", body)
	if a.Class != carrier.Accepted {
		return nil, ErrLookup{a}
	}
	var found struct {
		Messages []struct {
			ID     string `json:"sg_message_id"`
			Status string `json:"status"`
		} `json:"messages"`
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return nil, fmt.Errorf("sendgrid logs: decode answer: %w", err)
	}
	for _, m := range found.Messages {
		r, err := c.open(ctx, m.ID, notice)
		if r != nil || err != nil {
			return r, err
		}
	}
	return nil, nil
}

func (c *Client) open(ctx context.Context, id string, notice carrier.ID) (*carrier.Receipt, error) {
	a, text := c.post(ctx, rest.Get, "/v3/logs/"+url.PathEscape(id), nil)
	if a.Class != carrier.Accepted {
		if a.Status == 404 {
			return nil, nil
		}
		return nil, ErrLookup{a}
	}
	var mail struct {
		Status string            `json:"status"`
		Args   map[string]string `json:"custom_args"`
	}
	if err := json.Unmarshal([]byte(text), &mail); err != nil {
		return nil, fmt.Errorf("sendgrid logs: decode message: %w", err)
	}
	if mail.Args["n"] != notice.String() {
		return nil, nil
	}
	r := &carrier.Receipt{Notice: notice, Message: id, Meaning: logMeaning(mail.Status)}
	r.Attempt, r.Pos, _ = carrier.ParseAttempt(mail.Args["b"]) // an old attempt is as good: the notice is proven
	return r, nil
}

func logMeaning(status string) carrier.Meaning {
	switch status {
	case "delivered":
		return carrier.Delivered
	case "deferred":
		return carrier.Deferred
	case "bounced":
		return carrier.Hard
	case "blocked":
		return carrier.Blocked
	case "dropped":
		return carrier.Unknown
	}
	return carrier.Processed
}
