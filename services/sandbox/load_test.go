package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkWholeLife sends mail over HTTP to people who do not repeat, and waits until both events of
// each have been delivered and signed. It reports the CPU of the process per notice (the sandbox
// and the plain client and receiver beside it), the rate, and the memory of the record.
func BenchmarkWholeLife(b *testing.B) {
	var got atomic.Int64
	r := newRig(b, nil)
	sink := http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		n, _ := io.Copy(io.Discard, req.Body)
		got.Add(n)
	}), ReadHeaderTimeout: time.Second}
	l := listen(b)
	go func() { _ = sink.Serve(l) }()
	defer sink.Close()
	r.SetEventWebhook("http://" + l.Addr().String() + "/events")
	template := bigLetter(1000)
	before, start := cpu(), time.Now()
	var heap0, heap1 runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap0)
	b.ResetTimer()
	for i := range b.N {
		body := bytes.ReplaceAll(template, []byte("people.example"), fmtDomain(i))
		req, _ := http.NewRequest("POST", r.url+"/v3/mail/send", bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+testKey)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 202 {
			b.Fatal(resp.Status)
		}
	}
	r.until("all receipts", func() bool { return r.stats.callbacksDelivered.Load() == int64(2000*b.N) })
	people := float64(b.N) * 1000
	b.ReportMetric(float64((cpu()-before).Microseconds())/people, "cpu-µs/notice")
	b.ReportMetric(people/time.Since(start).Seconds(), "notices/s")
	runtime.GC()
	runtime.ReadMemStats(&heap1)
	b.ReportMetric((float64(heap1.HeapAlloc)-float64(heap0.HeapAlloc))/people, "heap-B/notice")
	begin := time.Now()
	if sum := r.Summary("c-1", 0); sum.ToldOnce != b.N*1000 || sum.ToldTwice != 0 {
		b.Fatalf("record %+v", sum)
	}
	b.ReportMetric(float64(time.Since(begin).Microseconds())/people, "µs-to-judge/notice")
}

// cpu is the user and system time of the process.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCreateSMS is one message through the handler without a network, callbacks not counted.
func BenchmarkCreateSMS(b *testing.B) {
	s, err := New(Config{Now: time.Now, SendGridKey: testKey, TwilioAccountSID: testSID, TwilioAuthToken: testToken, MaxBacklog: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	h := s.Handler()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		body := fmt.Sprintf("To=%%2B4477%08d&From=%%2B15005550006&Body=Your+data+were+read+by+others.&StatusCallback=http%%3A%%2F%%2F127.0.0.1%%3A1%%2Fcases%%2Fc-1%%2F%032x%%2F1%%23rc%%3D5%%26rp%%3Dall", i%90_000_000, i)
		req := httptest.NewRequest("POST", "/2010-04-01/Accounts/"+testSID+"/Messages.json", strings.NewReader(body))
		req.SetBasicAuth(testSID, testToken)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != 201 {
			b.Fatal(w.Body)
		}
	}
}
