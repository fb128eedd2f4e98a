package notice

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
	"tocsin.dev/services/notice/smtp"
	"tocsin.dev/services/notice/smtp/smtptest"
)

const bounceToken = "a-secret-of-the-mail-server"

// bounced is what a server would send back for a message it took, original and all.
func bounced(action, status, message string) string {
	return strings.ReplaceAll("From: MAILER-DAEMON@mx.example\nDate: "+time.Now().UTC().Format(time.RFC1123Z)+
		"\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"+
		"Final-Recipient: rfc822; ann0.oneil@people.example\nAction: "+action+"\nStatus: "+status+"\n\n--b\nContent-Type: message/rfc822\n\n"+message+"\n--b--\n", "\n", "\r\n")
}

func (r *rig) postBounce(token, body string) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.front+"/v1/receipts/smtp", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

// messageTo returns the message that a server took for an address.
func messageTo(t *testing.T, srv *smtptest.Server, to string) string {
	t.Helper()
	for _, m := range srv.Took() {
		if strings.Contains(m, "To: <"+to+">") {
			return m
		}
	}
	t.Fatalf("no message went to the person")
	return ""
}

func withBounces(srv *smtptest.Server) func(*Config) {
	return func(c *Config) {
		c.SendGrid, c.SMTP, c.SettleFor = nil, ownMail(srv), time.Second
		c.SMTP.BounceToken, c.SMTP.ReturnPath = bounceToken, "bounces@tidewater.example"
	}
}

func TestABounceOfTheOwnMailServerOpensTheNextRungOnce(t *testing.T) {
	srv := smtptest.Start(t, usualMail)
	r := newRig(t, testPeople(4), withBounces(srv))
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email", "sms")
	r.completed(30 * time.Second)
	first := messageTo(t, srv, "ann0.oneil@people.example")
	for range 3 { // mail servers repeat
		if code := r.postBounce(bounceToken, bounced("failed", "5.1.1", first)); code != http.StatusNoContent {
			t.Fatalf("a bounce is answered %d", code)
		}
	}
	second := messageTo(t, srv, "ann1.oneil@people.example")
	for _, one := range []string{bounced("delayed", "4.4.1", second), bounced("delivered", "2.1.5", second)} {
		if code := r.postBounce(bounceToken, one); code != http.StatusNoContent {
			t.Fatalf("a report is answered %d", code)
		}
	}
	r.await("the text message after the bounce", 30*time.Second, func(c *casefile.Case) bool {
		t := c.Orders[0].Tally
		return t.Told == 4 && t.Pending == 0 && t.States["email"]["failed"] == 1 && t.States["email"]["delivered"] == 1 && t.States["sms"]["delivered"] == 1
	})
	if sum := r.box.Summary("", 1); sum.AcceptedTotal != 1 {
		t.Errorf("%d text messages left, want one", sum.AcceptedTotal)
	}
	m, err := s.answerMessages(t.Context(), event.MessagesQuestion{Org: testOrg, Case: testCase, Person: r.people.list[0].Number})
	if err != nil || len(m.Messages) != 2 || m.Messages[0].Meaning != "hard" || m.Messages[0].Code != 511 || len(m.Messages[0].History) != 1 {
		t.Errorf("the person's rows = %+v, %v", m.Messages, err)
	}
}

func TestABounceIsKeptSealedAndAnUnknownOneChangesNothing(t *testing.T) {
	srv := smtptest.Start(t, usualMail)
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "notice.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	r := newRigOn(t, db, testPeople(1), withBounces(srv))
	s, _ := r.start("one")
	r.prepare()
	r.approveAndOrder("email")
	r.completed(30 * time.Second)
	message := messageTo(t, srv, "ann0.oneil@people.example")
	_, id, _ := strings.Cut(message, smtp.HeaderNotice+": ")
	another := strings.ReplaceAll(message, id[:22], "AAAAAAAAAAAAAAAAAAAAAA")
	for name, row := range map[string]struct {
		token, body string
		want        int
	}{
		"a wrong token":         {"guess", bounced("failed", "5.1.1", message), http.StatusUnauthorized},
		"no message":            {bounceToken, "hello", http.StatusBadRequest},
		"too large":             {bounceToken, strings.Repeat("x", smtp.MaxBounce+1), http.StatusRequestEntityTooLarge},
		"a bounce of strangers": {bounceToken, bounced("failed", "5.1.1", "Subject: theirs\n\nhello"), http.StatusNoContent},
		"a made-up notice id":   {bounceToken, bounced("failed", "5.1.1", another), http.StatusNoContent},
	} {
		if code := r.postBounce(row.token, row.body); code != row.want {
			t.Errorf("%s is answered %d, want %d", name, code, row.want)
		}
	}
	var raws, strays int
	if err := db.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM raw_receipt WHERE provider=$1), (SELECT COUNT(*) FROM stray WHERE provider=$1)`, Email).Scan(&raws, &strays); err != nil || raws != 2 || strays != 2 {
		t.Errorf("%d kept raw and %d strays, %v; want 2 and 2", raws, strays, err)
	}
	if tally := r.tallyNow(s); tally.Told != 1 {
		t.Errorf("tally = %+v; a bounce that is not ours changed it", tally)
	}
	r.postBounce(bounceToken, bounced("failed", "5.1.1", message))
	var file string
	if err := db.QueryRowContext(t.Context(), `SELECT file FROM pragma_database_list WHERE name='main'`).Scan(&file); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{file, file + "-wal"} {
		if data, _ := os.ReadFile(part); bytes.Contains(data, []byte("ann0.oneil")) || bytes.Contains(data, []byte("About your data")) {
			t.Errorf("%s holds a bounce in the clear", filepath.Base(part))
		}
	}
	health, err := s.receiptHealth(t.Context(), firstMail)
	if err != nil || health.LastGood != nil {
		t.Errorf("a bounce makes SendGrid's receipts look healthy: %+v, %v", health, err)
	}
}

func TestWithoutATokenNoBounceIsTaken(t *testing.T) {
	srv := smtptest.Start(t, usualMail)
	r := newRig(t, testPeople(1), func(c *Config) { c.SMTP = ownMail(srv) })
	r.start("one")
	if code := r.postBounce("", bounced("failed", "5.1.1", "")); code != http.StatusUnauthorized {
		t.Errorf("answered %d, want 401", code)
	}
}
