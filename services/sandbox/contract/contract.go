// Package contract holds the sandbox against the vendors' own OpenAPI files, with validators that
// are not ours: Prism as a proxy in front of it (prism.sh, which needs Node) and kin-openapi in a
// test (which needs Go only). Both play the same exchanges.
//
// The files say less than the vendors do: Twilio's declares no error answers and SendGrid's neither
// 429 nor the 200 of sandbox mode, so those are left to the sandbox's own tests. Two points where
// the files and the vendors disagree are settled here: Twilio's lists carry relative addresses where
// the file asks for absolute ones (relax), and the custom arguments of a whole SendGrid message are
// an object where the file asks for a string (no exchange has them).
package contract

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

//go:embed specs/*.json
var specs embed.FS

// The account the exchanges use.
const (
	Key   = "SG.contract"
	SID   = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	Token = "0123456789abcdef0123456789abcdef"
)

// The specifications by the name their exchanges carry.
const (
	Mail      = "tsg_mail_v3.json"
	Scheduled = "tsg_scheduled_sends_v3.json"
	Logs      = "tsg_logs_v3.json"
	Twilio    = "twilio_api_v2010.json"
)

// Specs returns the specifications by name, relaxed where the vendor breaks its own.
func Specs() (map[string][]byte, error) {
	out := make(map[string][]byte)
	for _, name := range []string{Mail, Scheduled, Logs, Twilio} {
		b, err := specs.ReadFile("specs/" + name)
		if err != nil {
			return nil, fmt.Errorf("read specification: %w", err)
		}
		if out[name], err = relax(b); err != nil {
			return nil, fmt.Errorf("relax %s: %w", name, err)
		}
	}
	return out, nil
}

// relax lets the addresses of a list be relative, as Twilio's are: the published file asks for
// absolute ones and breaks that in its own examples. It also leaves out examples that stand in a
// schema as an object, which is no OpenAPI (the file of SendGrid's logs has one).
func relax(spec []byte) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(spec, &doc); err != nil {
		return nil, err
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, named := v["examples"].(map[string]any); named && v["type"] != nil {
				delete(v, "examples")
			}
			for name, inner := range v {
				if m, ok := inner.(map[string]any); ok && strings.HasSuffix(name, "uri") && m["format"] == "uri" {
					m["format"] = "uri-reference"
				}
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(doc)
	return json.Marshal(doc)
}

// Exchange is one request and the status it is to be answered with. {name} in path and body stands
// for a value saved from an answer before.
type Exchange struct {
	Name   string
	Spec   string
	Method string
	Path   string
	Body   string
	Want   int
	// Breaks says that the request itself breaks the specification, on purpose.
	Breaks bool
	// Anonymous leaves the credentials out.
	Anonymous bool
	// Save names a value taken from the answer: a field of its JSON, or a header.
	Save, From string
}

// Exchanges are the conformance run, in order, at an instant that the sandbox agrees with.
func Exchanges(now time.Time) []Exchange {
	letter := func(more string) string {
		return `{"personalizations":[{"to":[{"email":"ann@people.example","name":"Ann Lee"}],"substitutions":{"-name-":"Ann"},"custom_args":{"n":"n1","b":"b1"}},
			{"to":[{"email":"bounce@people.example"}],"custom_args":{"n":"n2","b":"b1"}}],
			"from":{"email":"office@tidewater.example","name":"Tidewater"},"reply_to":{"email":"help@tidewater.example"},"subject":"About your data",
			"content":[{"type":"text/plain","value":"Dear -name-"},{"type":"text/html","value":"<p>Dear -name-</p>"}],"categories":["breach","case:c-1"],
			"mail_settings":{"bypass_unsubscribe_management":{"enable":true}},"tracking_settings":{"click_tracking":{"enable":false}}` + more + `}`
	}
	person := `{"to":[{"email":"a@b.example"}]},`
	many := strings.Repeat(person, 1001)
	messages := "/2010-04-01/Accounts/" + SID + "/Messages"
	form := "To=%2B447700900001&From=%2B15005550006&Body=Dear+you&StatusCallback=http%3A%2F%2F127.0.0.1%3A1%2Fsms%2Fn%2Fb"
	return []Exchange{
		{Name: "mail to two people", Spec: Mail, Method: "POST", Path: "/v3/mail/send", Body: letter(""), Want: 202, Save: "message", From: "X-Message-Id"},
		{Name: "mail with a template", Spec: Mail, Method: "POST", Path: "/v3/mail/send", Body: `{"personalizations":[{"to":[{"email":"a@b.example"}],"dynamic_template_data":{"a":1}}],"from":{"email":"a@b.example"},"template_id":"d-1"}`, Want: 202},
		{Name: "mail without a key", Spec: Mail, Method: "POST", Path: "/v3/mail/send", Body: letter(""), Want: 401, Anonymous: true, Breaks: true},
		{Name: "mail without from", Spec: Mail, Method: "POST", Path: "/v3/mail/send", Body: strings.Replace(letter(""), `"from"`, `"form"`, 1), Want: 400, Breaks: true},
		{Name: "mail without a subject", Spec: Mail, Method: "POST", Path: "/v3/mail/send", Body: strings.Replace(letter(""), `"subject"`, `"topic"`, 1), Want: 400},
		{Name: "mail with a comma in a name", Spec: Mail, Method: "POST", Path: "/v3/mail/send", Body: strings.Replace(letter(""), "Ann Lee", "Lee, Ann", 1), Want: 400},
		{Name: "1001 personalizations", Spec: Mail, Method: "POST", Path: "/v3/mail/send", Body: `{"personalizations":[` + strings.TrimSuffix(many, ",") + `],"from":{"email":"a@b.example"},"subject":"s","content":[{"type":"text/plain","value":"v"}]}`, Want: 400, Breaks: true},
		{Name: "mail too far ahead", Spec: Mail, Method: "POST", Path: "/v3/mail/send", Body: letter(fmt.Sprintf(`,"send_at":%d`, now.Add(73*time.Hour).Unix())), Want: 400},
		{Name: "new batch", Spec: Mail, Method: "POST", Path: "/v3/mail/batch", Want: 201, Save: "batch", From: "batch_id"},
		{Name: "known batch", Spec: Mail, Method: "GET", Path: "/v3/mail/batch/{batch}", Want: 200},
		{Name: "unknown batch", Spec: Mail, Method: "GET", Path: "/v3/mail/batch/nobody", Want: 400},
		{Name: "mail in a batch", Spec: Mail, Method: "POST", Path: "/v3/mail/send", Body: letter(fmt.Sprintf(`,"send_at":%d,"batch_id":"{batch}"`, now.Add(time.Hour).Unix())), Want: 202},

		{Name: "cancel a batch", Spec: Scheduled, Method: "POST", Path: "/v3/user/scheduled_sends", Body: `{"batch_id":"{batch}","status":"cancel"}`, Want: 201},
		{Name: "cancel it twice", Spec: Scheduled, Method: "POST", Path: "/v3/user/scheduled_sends", Body: `{"batch_id":"{batch}","status":"cancel"}`, Want: 400},
		{Name: "stopped batches", Spec: Scheduled, Method: "GET", Path: "/v3/user/scheduled_sends", Want: 200},
		{Name: "one stopped batch", Spec: Scheduled, Method: "GET", Path: "/v3/user/scheduled_sends/{batch}", Want: 200},
		{Name: "pause instead", Spec: Scheduled, Method: "PATCH", Path: "/v3/user/scheduled_sends/{batch}", Body: `{"status":"pause"}`, Want: 204},
		{Name: "resume", Spec: Scheduled, Method: "DELETE", Path: "/v3/user/scheduled_sends/{batch}", Want: 204},
		{Name: "resume twice", Spec: Scheduled, Method: "DELETE", Path: "/v3/user/scheduled_sends/{batch}", Want: 404},
		{Name: "stopped batches without a key", Spec: Scheduled, Method: "GET", Path: "/v3/user/scheduled_sends", Want: 401, Anonymous: true, Breaks: true},

		{Name: "search by address", Spec: Logs, Method: "POST", Path: "/v3/logs", Body: `{"query":"to_email = 'ann@people.example' AND sg_message_id_created_at > TIMESTAMP \"2020-01-01T00:00:00Z\"","limit":10}`, Want: 200},
		{Name: "search by message", Spec: Logs, Method: "POST", Path: "/v3/logs", Body: `{"query":"sg_message_id = '{message}'","limit":1000}`, Want: 200},
		{Name: "search that cannot be read", Spec: Logs, Method: "POST", Path: "/v3/logs", Body: `{"query":"custom_args = 'x'"}`, Want: 400},
		{Name: "search beyond the limit", Spec: Logs, Method: "POST", Path: "/v3/logs", Body: `{"query":"","limit":1001}`, Want: 400, Breaks: true},
		{Name: "one mail", Spec: Logs, Method: "GET", Path: "/v3/logs/{message}.recvd-sandbox-0", Want: 200},
		{Name: "one bounced mail", Spec: Logs, Method: "GET", Path: "/v3/logs/{message}.recvd-sandbox-1", Want: 200},
		{Name: "no such mail", Spec: Logs, Method: "GET", Path: "/v3/logs/nobody", Want: 404},

		{Name: "text message", Spec: Twilio, Method: "POST", Path: messages + ".json", Body: form, Want: 201, Save: "sid", From: "sid"},
		{Name: "text message through a service", Spec: Twilio, Method: "POST", Path: messages + ".json", Body: strings.Replace(form, "From=%2B15005550006", "MessagingServiceSid=MGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1), Want: 201},
		{Name: "text message that will fail", Spec: Twilio, Method: "POST", Path: messages + ".json", Body: strings.Replace(form, "447700900001", "44779930003", 1), Want: 201, Save: "failing", From: "sid"},
		{Name: "scheduled text message", Spec: Twilio, Method: "POST", Path: messages + ".json", Body: "To=%2B447700900001&MessagingServiceSid=MGaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&Body=x&ScheduleType=fixed&SendAt=" + strings.ReplaceAll(now.Add(time.Hour).UTC().Format("2006-01-02T15:04:05Z"), ":", "%3A"), Want: 201, Save: "later", From: "sid"},
		{Name: "cancel it", Spec: Twilio, Method: "POST", Path: messages + "/{later}.json", Body: "Status=canceled", Want: 200},
		{Name: "one text message", Spec: Twilio, Method: "GET", Path: messages + "/{sid}.json", Want: 200},
		{Name: "one that failed", Spec: Twilio, Method: "GET", Path: messages + "/{failing}.json", Want: 200},
		{Name: "first page", Spec: Twilio, Method: "GET", Path: messages + ".json?PageSize=2", Want: 200},
		{Name: "by recipient", Spec: Twilio, Method: "GET", Path: messages + ".json?To=%2B447700900001&PageSize=1000", Want: 200},
		{Name: "nobody", Spec: Twilio, Method: "GET", Path: messages + ".json?To=%2B447700900099", Want: 200},
	}
}

// Play sends the exchanges one after the other to the address each belongs at and hands every
// answer to check. It stops at the first answer with another status than wanted.
func Play(list []Exchange, address func(Exchange) string, check func(Exchange, *http.Request, *http.Response, []byte) error) error {
	saved := make(map[string]string)
	fill := func(s string) string {
		for name, value := range saved {
			s = strings.ReplaceAll(s, "{"+name+"}", value)
		}
		return s
	}
	for _, x := range list {
		path, body := fill(x.Path), fill(x.Body)
		req, err := http.NewRequest(x.Method, address(x)+path, strings.NewReader(body))
		if err != nil {
			return fmt.Errorf("%s: %w", x.Name, err)
		}
		kind := "application/json"
		if x.Spec == Twilio {
			kind = "application/x-www-form-urlencoded"
		}
		if body != "" {
			req.Header.Set("Content-Type", kind)
		}
		switch {
		case x.Anonymous:
		case x.Spec == Twilio:
			req.SetBasicAuth(SID, Token)
		default:
			req.Header.Set("Authorization", "Bearer "+Key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("%s: %w", x.Name, err)
		}
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // read to its end
		if err != nil {
			return fmt.Errorf("%s: read answer: %w", x.Name, err)
		}
		if resp.StatusCode != x.Want {
			return fmt.Errorf("%s: %s %s answered %d, want %d: %s", x.Name, x.Method, path, resp.StatusCode, x.Want, answer)
		}
		req.Body = io.NopCloser(strings.NewReader(body))
		if err := check(x, req, resp, answer); err != nil {
			return fmt.Errorf("%s: %s %s: %w", x.Name, x.Method, path, err)
		}
		if x.Save != "" {
			if saved[x.Save], err = take(resp, answer, x.From); err != nil {
				return fmt.Errorf("%s: %w", x.Name, err)
			}
		}
	}
	return nil
}

func take(resp *http.Response, answer []byte, from string) (string, error) {
	if v := resp.Header.Get(from); v != "" {
		return v, nil
	}
	var fields map[string]any
	if err := json.NewDecoder(bytes.NewReader(answer)).Decode(&fields); err != nil {
		return "", fmt.Errorf("answer has no %s: %w", from, err)
	}
	v, ok := fields[from].(string)
	if !ok {
		return "", fmt.Errorf("answer has no %s: %s", from, answer)
	}
	return v, nil
}
