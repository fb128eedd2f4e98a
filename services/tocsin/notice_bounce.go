package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"tocsin.dev/services/notice/smtp"
)

// The exit codes of a mail server's pipe (sysexits.h): a message that cannot be
// handed in now is tried again later, and one that never can be is not.
const (
	exitUnreadable = 65
	exitLater      = 75
)

type noticeBounceCmd struct {
	Server    string `help:"Address of the installation." env:"TOCSIN_SERVER" default:"http://127.0.0.1:8420"`
	Token     string `help:"The installation's smtp.bounce_token." env:"TOCSIN_BOUNCE_TOKEN"`
	TokenFile string `help:"File that holds the token." env:"TOCSIN_BOUNCE_TOKEN_FILE" type:"path"`
}

// Run posts the message on standard input. A message longer than can be taken
// is cut off at its end, where the original stands.
func (c *noticeBounceCmd) Run(ctx context.Context) error {
	token, err := c.token()
	if err != nil {
		return exit{exitLater, err}
	}
	body, err := io.ReadAll(io.LimitReader(os.Stdin, smtp.MaxBounce))
	if err != nil {
		return exit{exitLater, fmt.Errorf("bounce: read standard input: %w", err)}
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // a mail server may take a closed pipe for a failure
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(c.Server, "/")+"/v1/receipts/smtp", bytes.NewReader(body))
	if err != nil {
		return exit{exitLater, fmt.Errorf("bounce: %w", err)}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "message/rfc822")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return exit{exitLater, fmt.Errorf("bounce: %w", err)}
	}
	said, _ := io.ReadAll(io.LimitReader(res.Body, 500))
	_ = res.Body.Close()
	switch {
	case res.StatusCode < http.StatusMultipleChoices:
		return nil
	case res.StatusCode == http.StatusBadRequest:
		return exit{exitUnreadable, fmt.Errorf("bounce: %s: %s", res.Status, bytes.TrimSpace(said))}
	}
	return exit{exitLater, fmt.Errorf("bounce: %s: %s", res.Status, bytes.TrimSpace(said))}
}

func (c *noticeBounceCmd) token() (string, error) {
	if c.TokenFile == "" {
		if c.Token == "" {
			return "", errors.New("bounce: no token: give --token-file or TOCSIN_BOUNCE_TOKEN, as in the installation's smtp.bounce_token")
		}
		return c.Token, nil
	}
	data, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return "", fmt.Errorf("bounce: read the token file: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
