package notice

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/person"
)

// BenchmarkReceipts takes event webhooks of SendGrid alone: each is verified,
// stored sealed and applied before its answer. One operation is one event; the
// first half of the events say «processed», the second «delivered», shuffled
// over requests as SendGrid gathers them: by time, not by our requests.
func BenchmarkReceipts(b *testing.B) {
	const perWebhook = 1000
	n := (b.N + 2*perWebhook - 1) / (2 * perWebhook) * perWebhook // messages
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	r := newRig(b, nil, func(c *Config) { c.SendGrid.WebhookKeys = []string{base64.StdEncoding.EncodeToString(public)} })
	s, _ := r.start("one")
	posts := webhooksFor(b, s, key, n, perWebhook)
	b.ReportAllocs()
	b.ResetTimer()
	began := time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 { // requests under way at once
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(posts)); i = next.Add(1) - 1 {
				w := httptest.NewRecorder()
				s.Callbacks().ServeHTTP(w, posts[i])
				if w.Code != http.StatusNoContent {
					b.Errorf("webhook %d was answered %d: %s", i, w.Code, w.Body)
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(2*n)/time.Since(began).Seconds(), "events/s")
	var delivered int
	if err := r.db.QueryRowContext(b.Context(), `SELECT count(*) FROM message WHERE state=$1`, Delivered).Scan(&delivered); err != nil || delivered != n {
		b.Fatalf("%d of %d messages count as delivered, %v", delivered, n, err)
	}
}

// webhooksFor writes n accepted messages into the ledger and returns the signed
// webhooks about them.
func webhooksFor(b *testing.B, s *Service, key *ecdsa.PrivateKey, n, perWebhook int) []*http.Request {
	b.Helper()
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000007"
	ctx, now := b.Context(), time.Now()
	var campaign int64
	if err := s.store.db.QueryRowContext(ctx, `INSERT INTO campaign (org, case_id, kind, revision) VALUES ($1,$2,'first',0) RETURNING id`, testOrg, testCase).Scan(&campaign); err != nil {
		b.Fatal(err)
	}
	exposed, err := category.ParseAll([]string{"email"})
	if err != nil {
		b.Fatal(err)
	}
	mark := s.secrets.marker(testOrg, testCase, "first", 0)
	events := make([][]string, 2) // processed, delivered
	for from := 0; from < n; from += pageSize {
		a := attempt{plan: 1, campaign: campaign, channel: Email, account: providerOf(Email), digest: digest}
		rows := make([]message, min(pageSize, n-from))
		for i := range rows {
			rows[i] = message{person: person.Number(3*(from+i) + 5), channel: Email, state: Planned, reason: ReasonPlanned, exposed: uint32(exposed)}
			a.people = append(a.people, rows[i].person)
		}
		if _, err := s.store.write(ctx, campaign, now, func(l *ledger) error { return acceptAll(l, rows, &a) }); err != nil {
			b.Fatal(err)
		}
		for pos, p := range a.people {
			for i, name := range []string{"processed", "delivered"} {
				events[i] = append(events[i], fmt.Sprintf(`{"email":"p%d@people.example","timestamp":%d,"smtp-id":"<%d@geopod>","event":%q,"category":["breach"],"sg_event_id":"ev%d-%d","sg_message_id":"m%d.filter-1","n":%q,"b":"%d.%d","case":%q}`,
					p, now.Unix()+int64(i), p, name, i, p, a.id, mark.notice(p, Email, digest), a.id, pos, testCase))
			}
		}
	}
	var posts []*http.Request
	for _, kind := range events {
		step := max(1, len(kind)/perWebhook)
		for k := range step {
			var body bytes.Buffer
			for i := k; i < len(kind); i += step {
				body.WriteString(map[bool]string{true: "[", false: ","}[i == k])
				body.WriteString(kind[i])
			}
			body.WriteByte(']')
			posts = append(posts, signedWebhook(b, key, body.Bytes()))
		}
	}
	return posts
}

// acceptAll puts messages into the ledger as those of an accepted request.
func acceptAll(l *ledger, rows []message, a *attempt) error {
	if _, err := l.put(rows); err != nil {
		return err
	}
	if err := l.begin(a); err != nil {
		return err
	}
	if _, err := l.move(Email, a.people, Planned, Submitted, ReasonHandOver, set{attempt: a.id}); err != nil {
		return err
	}
	if _, err := l.move(Email, a.people, Submitted, Accepted, ReasonAnswer, set{onAttempt: a.id}); err != nil {
		return err
	}
	return l.close(a, attemptAccepted, 0)
}

func signedWebhook(b *testing.B, key *ecdsa.PrivateKey, body []byte) *http.Request {
	b.Helper()
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	sum := sha256.Sum256(append([]byte(stamp), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodPost, "/v1/receipts/sendgrid", bytes.NewReader(body))
	req.Header.Set(eventwebhook.TimestampHTTPHeader, stamp)
	req.Header.Set(eventwebhook.VerificationHTTPHeader, base64.StdEncoding.EncodeToString(signature))
	return req
}
