package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"tocsin.dev/services/app"
	"tocsin.dev/services/app/suite"
	"tocsin.dev/services/desk"
)

// configured are the flags of every command that reads settings.
type configured struct {
	Config string `help:"Settings file (YAML). Environment variables TOCSIN_… win over it." type:"existingfile"`
}

// settings returns the defaults, overruled by the file and the environment.
func (c configured) settings() (app.Settings, error) { return app.Load(c.Config) }

type upCmd struct {
	configured
	DataDir string `help:"Folder for data and generated keys." type:"path"`
	Listen  string `help:"Address of the console, API and webhooks."`
}

// Run runs all services in this process.
func (c *upCmd) Run(ctx context.Context) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	if c.DataDir != "" {
		s.DataDir = c.DataDir
	}
	if c.Listen != "" {
		s.Listen = c.Listen
	}
	return suite.Run(ctx, s, suite.Options{Ready: func(r *suite.Running) {
		fmt.Println("Tocsin is ready at", r.URL)
	}})
}

type runCmd struct {
	configured
	Service string `arg:"" enum:"intake,desk,scope,deadline,notice" help:"Service to run: intake, desk, scope, deadline or notice."`
}

// Run runs one service.
func (c *runCmd) Run(ctx context.Context) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	s.Services = []string{c.Service}
	return suite.Run(ctx, s, suite.Options{})
}

type setupCmd struct{ configured }

// Run makes the streams of a cluster.
func (c *setupCmd) Run(ctx context.Context) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	if err := app.Setup(ctx, s); err != nil {
		return err
	}
	fmt.Println("Streams and buckets are in place.")
	return nil
}

type hashPasswordCmd struct{}

// Run hashes the password on standard input.
func (hashPasswordCmd) Run() error {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return errors.Join(errors.New("no password on standard input"), err)
	}
	hash, err := desk.HashPassword(password)
	if err != nil {
		return err
	}
	fmt.Println(hash)
	return nil
}

type sandboxCmd struct{ configured }

// Run runs the look-alike providers alone.
func (c *sandboxCmd) Run(ctx context.Context) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return suite.RunSandbox(ctx, s, log, func(url, key string) {
		_ = printJSON(map[string]string{"url": url, "sendgrid_event_key": key})
	})
}
