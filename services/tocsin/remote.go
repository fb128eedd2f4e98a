package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"tocsin.dev/services/desk/api/client"
)

// remote says which installation a command talks to and as whom.
type remote struct {
	Server    string `help:"Address of the installation." env:"TOCSIN_SERVER" default:"http://127.0.0.1:8420"`
	Token     string `help:"API token of your user." env:"TOCSIN_TOKEN"`
	TokenFile string `help:"File that holds the API token." env:"TOCSIN_TOKEN_FILE" type:"existingfile"`
}

// client returns the generated client of the desk's API.
func (r *remote) client() (*client.ClientWithResponses, error) {
	token := r.Token
	if r.TokenFile != "" {
		data, err := os.ReadFile(r.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the token file: %w", err)
		}
		token = strings.TrimSpace(string(data))
	}
	if token == "" {
		return nil, errors.New("no API token: give --token, --token-file or TOCSIN_TOKEN")
	}
	return client.NewClientWithResponses(r.Server, client.WithHTTPClient(&http.Client{Timeout: time.Minute}),
		client.WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
			req.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
}

// refusedBy says what a server answered instead of what was asked for.
func refusedBy(what, status string, body []byte) error {
	var problem struct{ Detail, Title string }
	if json.Unmarshal(body, &problem) == nil && problem.Detail+problem.Title != "" {
		if problem.Detail == "" {
			problem.Detail = problem.Title
		}
		return fmt.Errorf("%s: %s (%s)", what, problem.Detail, status)
	}
	return fmt.Errorf("%s: %s: %.500s", what, status, body)
}
