package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"tocsin.dev/services/notice/smtp"
)

// A mail server's pipe knows by the exit code whether to try again.
func TestABounceFromAPipeIsHandedInOrTriedAgainLater(t *testing.T) {
	for name, row := range map[string]struct {
		status, code int
		input        string
	}{
		"taken":                    {http.StatusNoContent, 0, "From: MAILER-DAEMON@mx.example\n\nfailed"},
		"longer than can be taken": {http.StatusNoContent, 0, strings.Repeat("x", smtp.MaxBounce+9)},
		"not a message":            {http.StatusBadRequest, exitUnreadable, "x"},
		"a wrong token":            {http.StatusUnauthorized, exitLater, "x"},
		"a store that is down":     {http.StatusServiceUnavailable, exitLater, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []byte
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/receipts/smtp" || r.Header.Get("Authorization") != "Bearer secret" {
					t.Errorf("posted to %s", r.URL.Path)
				}
				got, _ = io.ReadAll(r.Body)
				w.WriteHeader(row.status)
			}))
			defer srv.Close()
			fromStdin(t, row.input)
			err := (&noticeBounceCmd{Server: srv.URL, Token: "secret"}).Run(t.Context())
			var e exit
			if errors.As(err, &e); e.code != row.code || (err == nil) != (row.code == 0) {
				t.Errorf("ended with %v (code %d), want code %d", err, e.code, row.code)
			}
			if want := row.input[:min(len(row.input), smtp.MaxBounce)]; string(got) != want {
				t.Errorf("%d bytes were posted, want %d", len(got), len(want))
			}
		})
	}
}

// fromStdin makes a text the standard input until the test ends.
func fromStdin(t *testing.T, text string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	real := os.Stdin
	os.Stdin = r
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.WriteString(w, text); _ = w.Close() }()
	t.Cleanup(func() { os.Stdin = real; _ = r.Close(); <-done })
}
