package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// streamBatch is the most events in one request, which Twilio bounds by 64 KB.
	streamBatch = 60
	// streamFor is how long Event Streams repeats what is not taken.
	streamFor = 4 * time.Hour
)

// cloudEvent is an event of Event Streams, schema Messaging.MessageStatus.
type cloudEvent struct {
	SpecVersion     string        `json:"specversion"`
	Type            string        `json:"type"`
	Source          string        `json:"source"`
	ID              string        `json:"id"`
	DataSchema      string        `json:"dataschema"`
	DataContentType string        `json:"datacontenttype"`
	Time            time.Time     `json:"time"`
	Data            messageStatus `json:"data"`
}

type messageStatus struct {
	MessageSID          string    `json:"messageSid"`
	Timestamp           time.Time `json:"timestamp"`
	AccountSID          string    `json:"accountSid"`
	EventName           string    `json:"eventName"`
	APIVersion          string    `json:"apiVersion"`
	From                string    `json:"from"`
	To                  string    `json:"to"`
	MessageStatus       string    `json:"messageStatus"`
	MessagingServiceSID string    `json:"messagingServiceSid,omitempty"`
	ErrorCode           int       `json:"errorCode,omitempty"`
	Body                string    `json:"body"`
	StatusCallBackURL   string    `json:"statusCallBackUrl,omitempty"`
}

// postStream delivers one batch to the sink of Event Streams. As Twilio does, it
// repeats what is not taken within five seconds, unless it is refused.
func (s *Service) postStream(ctx context.Context, steps []step) {
	body, err := json.Marshal(s.messageEvents(steps))
	if err != nil {
		s.log.ErrorContext(ctx, "write events", "error", err)
		return
	}
	address := fmt.Sprintf("%s?bodySHA256=%x", s.cfg.EventStreamURL, sha256.Sum256(body))
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		s.log.ErrorContext(ctx, "address of the event sink", "error", err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Twilio-Signature", TwilioSignature(s.cfg.TwilioAuthToken, address, nil))
	status, err := s.deliver(req)
	switch {
	case err == nil && status/100 == 2:
		s.stats.callbacksDelivered.Add(int64(len(steps)))
	case err == nil && status/100 == 4 && status != http.StatusTooManyRequests:
		s.stats.callbacksFailed.Add(int64(len(steps)))
		s.stats.receiptsGivenUp.Add(int64(len(steps)))
	default:
		s.again(s.stream, steps, streamFor)
	}
}

func (s *Service) messageEvents(steps []step) []cloudEvent {
	events := make([]cloudEvent, 0, len(steps))
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	for _, st := range steps {
		if st.era != s.record.era || st.message >= s.record.count {
			continue
		}
		e := s.record.at(st.message)
		status, at := st.to.twilioStatus(), time.Unix(0, st.at).UTC()
		id := sha256.Sum256([]byte(s.eventID(st)))
		one := cloudEvent{
			SpecVersion: "1.0", Type: "com.twilio.messaging.message." + status, Source: "/2010-04-01/Accounts/" + s.cfg.TwilioAccountSID + "/Messages/" + e.env.id + ".json",
			ID: fmt.Sprintf("EZ%x", id[:16]), DataSchema: "https://events-schemas.twilio.com/Messaging.MessageStatus/4", DataContentType: "application/json", Time: at,
		}
		form := s.statusForm(e, st)
		one.Data = messageStatus{
			MessageSID: e.env.id, Timestamp: at, AccountSID: s.cfg.TwilioAccountSID, EventName: one.Type, APIVersion: "2010-04-01",
			From: form.Get("From"), To: form.Get("To"), MessageStatus: strings.ToUpper(status), MessagingServiceSID: e.env.service, StatusCallBackURL: e.env.callback,
		}
		if e.env.content != nil {
			one.Data.Body = e.env.content.text
		}
		if st.to == undelivered || st.to == failed {
			code, _ := e.outcomeCode()
			one.Data.ErrorCode = int(code)
		}
		events = append(events, one)
	}
	return events
}
