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
	ids, err := c.list(ctx, address, fmt.Sprintf("sg_message_id_created_at >= TIMESTAMP %q", stamp(since.Add(-time.Minute))), 100)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		m, err := c.open(ctx, id)
		if err != nil {
			return nil, err
		}
		if m != nil && m.Notice == notice { // an old attempt is as good: the notice is proven
			return &carrier.Receipt{Notice: notice, Attempt: m.Attempt, Pos: m.Pos, Message: id, Meaning: m.Meaning}, nil
		}
	}
	return nil, nil
}

// Mail is what the logs hold of one mail.
type Mail struct {
	Subject string
	// Notice, Attempt and Pos are the custom arguments; zero if they are not ours.
	Notice  carrier.ID
	Attempt int64
	Pos     int
	Meaning carrier.Meaning
}

// Held returns the mails of one accepted request to an address, two at most.
// The request is named by the id of its answer, with which the id of each of
// its mails begins; it was made at about the instant.
func (c *Client) Held(ctx context.Context, address, request string, at time.Time) ([]Mail, error) {
	window := fmt.Sprintf("sg_message_id_created_at >= TIMESTAMP %q AND sg_message_id_created_at <= TIMESTAMP %q", stamp(at.Add(-5*time.Minute)), stamp(at.Add(5*time.Minute)))
	ids, err := c.list(ctx, address, window, 1000)
	if err != nil {
		return nil, err
	}
	var found []Mail
	for _, id := range ids {
		if request == "" || !strings.HasPrefix(id, request) || len(found) == 2 {
			continue
		}
		m, err := c.open(ctx, id)
		if err != nil {
			return nil, err
		}
		if m != nil {
			found = append(found, *m)
		}
	}
	return found, nil
}

func stamp(at time.Time) string { return at.UTC().Truncate(time.Second).Format(time.RFC3339) }

// list returns the ids of the mails to an address in a window of time.
func (c *Client) list(ctx context.Context, address, window string, limit int) ([]string, error) {
	if strings.ContainsAny(address, `'"\`) {
		return nil, fmt.Errorf("sendgrid logs: the address cannot be written in a query")
	}
	body, err := json.Marshal(map[string]any{"query": fmt.Sprintf("to_email = '%s' AND %s", address, window), "limit": limit})
	if err != nil {
		return nil, fmt.Errorf("sendgrid logs: encode query: %w", err)
	}
	a, text := c.post(ctx, rest.Post, "/v3/logs", body)
	if a.Class != carrier.Accepted {
		return nil, ErrLookup{a}
	}
	var found struct {
		Messages []struct {
			ID string `json:"sg_message_id"`
		} `json:"messages"`
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return nil, fmt.Errorf("sendgrid logs: decode answer: %w", err)
	}
	ids := make([]string, len(found.Messages))
	for i, m := range found.Messages {
		ids[i] = m.ID
	}
	return ids, nil
}

// open reads one mail; nil if the logs do not know it.
func (c *Client) open(ctx context.Context, id string) (*Mail, error) {
	a, text := c.post(ctx, rest.Get, "/v3/logs/"+url.PathEscape(id), nil)
	if a.Class != carrier.Accepted {
		if a.Status == 404 {
			return nil, nil
		}
		return nil, ErrLookup{a}
	}
	var in struct {
		Status  string            `json:"status"`
		Subject string            `json:"subject"`
		Args    map[string]string `json:"custom_args"`
	}
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, fmt.Errorf("sendgrid logs: decode message: %w", err)
	}
	m := &Mail{Subject: in.Subject, Meaning: logMeaning(in.Status)}
	m.Notice, _ = carrier.ParseID(in.Args["n"])
	m.Attempt, m.Pos, _ = carrier.ParseAttempt(in.Args["b"])
	return m, nil
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
