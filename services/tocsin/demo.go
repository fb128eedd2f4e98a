package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"tocsin.dev/services/app/suite"
	"tocsin.dev/services/demo"
)

type demoCmd struct {
	People  int    `default:"500" help:"Synthetic people in each sample organisation."`
	Seed    uint64 `default:"1" help:"Seed of the synthetic people: the same seed gives the same people."`
	Once    bool   `help:"Play one whole case of tidewater through the public API, print what became of everybody, and end."`
	JSON    bool   `name:"json" help:"With --once: print one JSON object; progress goes to standard error."`
	Listen  string `default:"127.0.0.1:8420" help:"Address of the console; with --once any free port is taken."`
	Sandbox string `default:"127.0.0.1:8421" help:"Address of the look-alike providers and their page of messages."`
	Keep    string `help:"Keep the data in this new folder instead of a temporary one." type:"path"`
}

// Run starts the demo and leaves it running, or plays one case.
func (c *demoCmd) Run(ctx context.Context) (err error) {
	dir := c.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "tocsin-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	in, err := demo.Prepare(dir, time.Now)
	if err != nil {
		return err
	}
	s := in.Settings()
	if !c.Once {
		s.Listen, s.SandboxListen, s.Cooling = c.Listen, c.Sandbox, 15*time.Second
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	ready := make(chan *suite.Running, 1)
	go func() { ended <- in.Run(ctx, s, suite.Options{Ready: func(r *suite.Running) { ready <- r }}) }()
	select {
	case err := <-ended:
		return err
	case r := <-ready:
		err = c.play(ctx, in, r)
	}
	if err != nil || c.Once {
		cancel()
	}
	return errors.Join(err, <-ended)
}

// play fills the installation and either plays the case or says where to look.
func (c *demoCmd) play(ctx context.Context, in *demo.Installation, r *suite.Running) error {
	out := io.Writer(os.Stdout)
	if c.JSON {
		out = os.Stderr
	}
	orgs := demo.Organisations()
	if c.Once {
		orgs = []string{"tidewater"}
	}
	for _, org := range orgs {
		fmt.Fprintf(out, "Importing %d synthetic people of %s\n", c.People, org)
		if err := in.Populate(ctx, r, org, c.People, c.Seed, out); err != nil {
			return err
		}
	}
	if !c.Once {
		return c.invite(ctx, in, out)
	}
	report, err := in.Play(ctx, out)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(report)
	} else {
		fmt.Fprintln(out, report)
	}
	if err == nil && !report.Accounted {
		err = errors.New("not every person is accounted for")
	}
	return err
}

// invite posts the alert and prints the addresses and sign-ins.
func (c *demoCmd) invite(ctx context.Context, in *demo.Installation, out io.Writer) error {
	if err := in.Story("tidewater", out).PostAlert(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nA real SIEM alert was posted for tidewater. Nothing here can reach a real person.\n\n")
	fmt.Fprintf(out, "Console:            %s\n", in.URL)
	fmt.Fprintf(out, "What people get:    %s/sandbox/\n\n", in.SandboxURL)
	fmt.Fprintf(out, "%-22s %-20s %s\n", "Sign in as", "Password", "API token")
	for _, role := range []string{"analyst", "legal", "dpo"} {
		user := in.Secrets("tidewater", role)
		fmt.Fprintf(out, "%-22s %-20s %s\n", demo.UserID("tidewater", role), user.Password, user.Token)
	}
	all := filepath.Join(in.Dir, "sign-ins.json")
	if err := in.WriteSecrets(all); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nSign-ins of all five organisations and the administrators: %s\nCtrl-C ends the demo.\n", all)
	return nil
}
