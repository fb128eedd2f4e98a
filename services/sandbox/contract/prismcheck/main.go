// Command prismcheck starts a sandbox, puts Prism in front of it as a judging proxy for each of the
// vendors' specifications, and plays the conformance exchanges through them. It exits 1 at the
// first violation. prism.sh installs Prism and runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"tocsin.dev/pkg/web"
	"tocsin.dev/services/sandbox"
	"tocsin.dev/services/sandbox/contract"
)

func main() {
	prism := flag.String("prism", "prism", "the prism executable")
	dir := flag.String("dir", os.TempDir(), "an existing directory for the specifications given to prism")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *prism, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "prismcheck:", err)
		os.Exit(1)
	}
}

// proxy is one prism: strict ones refuse what breaks the specification, the others report it in a
// header and pass it on, which requests that are wrong on purpose need.
type proxy struct {
	spec   string
	strict bool
}

func run(ctx context.Context, prism, dir string) error {
	ctx, stop := context.WithCancel(ctx)
	upstream, wait, err := serve(ctx)
	if err != nil {
		stop()
		return err
	}
	defer wait()
	defer stop()
	specs, err := contract.Specs()
	if err != nil {
		return err
	}
	proxies := []proxy{
		{contract.Mail, true}, {contract.Scheduled, true}, {contract.Logs, true}, {contract.Twilio, true},
		{contract.Mail, false}, {contract.Scheduled, false}, {contract.Logs, false},
	}
	for name, text := range specs { // all before any proxy, which reads its file again when it changes
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return fmt.Errorf("write specification: %w", err)
		}
	}
	addresses := make(map[proxy]string)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop() // before the wait: it ends the proxies
	for _, p := range proxies {
		cmd, address, err := judge(ctx, prism, filepath.Join(dir, p.spec), upstream, p.strict)
		if err != nil {
			return err
		}
		all.Go(func() { _ = cmd.Wait() }) // killed at the end
		addresses[p] = address
	}
	for p, a := range addresses {
		if err := ready(ctx, a); err != nil {
			return fmt.Errorf("prism for %s: %w", p.spec, err)
		}
	}
	played := 0
	pick := func(x contract.Exchange) string { return addresses[proxy{x.Spec, !x.Breaks}] }
	err = contract.Play(contract.Exchanges(time.Now()), pick, func(x contract.Exchange, _ *http.Request, resp *http.Response, _ []byte) error {
		played++
		return violations(x, resp)
	})
	if err != nil {
		return err
	}
	if err := control(ctx, prism, dir, specs[contract.Mail]); err != nil {
		return err
	}
	fmt.Printf("prismcheck: %d exchanges, no violation\n", played)
	return nil
}

// violations reads what a proxy that is not strict has to say about the answer.
func violations(x contract.Exchange, resp *http.Response) error {
	header := resp.Header.Get("Sl-Violations")
	if header == "" {
		if x.Breaks {
			return errors.New("prism saw nothing wrong with a request that is wrong on purpose")
		}
		return nil
	}
	var list []struct {
		Location []string `json:"location"`
		Message  string   `json:"message"`
	}
	if err := json.Unmarshal([]byte(header), &list); err != nil {
		return fmt.Errorf("read violations %q: %w", header, err)
	}
	for _, v := range list {
		if !x.Breaks || len(v.Location) > 0 && v.Location[0] == "response" {
			return fmt.Errorf("prism: %v %s", v.Location, v.Message)
		}
	}
	return nil
}

// control makes sure that prism would notice: a server that answers 200 instead of 202 must fail.
func control(ctx context.Context, prism, dir string, spec []byte) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	wrong := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }), ReadHeaderTimeout: time.Second}
	go func() { _ = wrong.Serve(l) }() // ends with Close
	defer wrong.Close()
	file := filepath.Join(dir, "control.json")
	if err := os.WriteFile(file, spec, 0o600); err != nil {
		return fmt.Errorf("write specification: %w", err)
	}
	cmd, address, err := judge(ctx, prism, file, "http://"+l.Addr().String(), true)
	if err != nil {
		return err
	}
	defer func() { stop(); _ = cmd.Wait() }()
	if err := ready(ctx, address); err != nil {
		return err
	}
	first := contract.Exchanges(time.Now())[:1]
	first[0].Want = http.StatusInternalServerError
	first[0].Save = ""
	err = contract.Play(first, func(contract.Exchange) string { return address }, func(contract.Exchange, *http.Request, *http.Response, []byte) error { return nil })
	if err != nil {
		return fmt.Errorf("control: prism let a wrong answer pass: %w", err)
	}
	return nil
}

// serve runs a sandbox on a free port until ctx ends.
func serve(ctx context.Context) (address string, wait func(), err error) {
	s, err := sandbox.New(sandbox.Config{
		Now: time.Now, SendGridKey: contract.Key, TwilioAccountSID: contract.SID, TwilioAuthToken: contract.Token, StepDelay: time.Millisecond,
	})
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second}
	var all sync.WaitGroup
	all.Go(func() { _ = s.Run(ctx) })      // ends with ctx
	all.Go(func() { _ = server.Serve(l) }) // ends with Close
	all.Go(func() { <-ctx.Done(); server.Close() })
	return "http://" + l.Addr().String(), all.Wait, nil
}

// judge starts a prism in front of upstream and returns the address that it will have.
func judge(ctx context.Context, prism, spec, upstream string, strict bool) (cmd *exec.Cmd, address string, err error) {
	at, err := web.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, "", err
	}
	args := []string{"proxy", "-h", host, "-p", port}
	if strict {
		args = append(args, "--errors")
	}
	cmd = exec.CommandContext(ctx, prism, append(args, spec, upstream)...)
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start prism: %w", err)
	}
	return cmd, "http://" + at, nil
}

// ready waits until an address takes connections.
func ready(ctx context.Context, address string) error {
	deadline := time.After(60 * time.Second)
	for {
		conn, err := net.DialTimeout("tcp", address[len("http://"):], time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("not ready after 60 s: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
