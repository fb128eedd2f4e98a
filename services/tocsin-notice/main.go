// Command tocsin-notice is the service notice alone: the same as «tocsin run
// notice» without what only the others need. A restart in the middle of a
// sending therefore costs little, and the program that holds the providers'
// keys holds little else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/process"
	"tocsin.dev/services/app"
	"tocsin.dev/services/app/sender"
)

// usageError is a wrong command line. Its status is that of tocsin.
type usageError struct{ error }

const usageStatus = 80

func main() {
	process.CollectLater()
	ctx, stop := process.Signals(context.Background())
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	fmt.Fprintln(os.Stderr, "tocsin-notice:", err)
	if errors.As(err, new(usageError)) {
		os.Exit(usageStatus)
	}
	os.Exit(1)
}

const usage = `Run the sender of notices until it is told to end: the same as «tocsin run notice».

  tocsin-notice [flags]
  tocsin-notice health [URL]   Ask a running process whether it is ready; for health checks of containers.

Settings are those of tocsin; environment variables TOCSIN_… win over the file.

Flags:
`

// run reads the command line and does what it says.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("tocsin-notice", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main says what is wrong
	file := flags.String("config", "", "settings `file` (YAML)")
	profile := flags.String("cpu-profile", "", "write a CPU profile of the whole run to this `file`")
	version := flags.Bool("version", false, "print the version")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		flags.SetOutput(out)
		flags.PrintDefaults()
		return nil
	} else if err != nil {
		return usageError{fmt.Errorf("%w; see --help", err)}
	}
	switch {
	case *version:
		fmt.Fprintln(out, "tocsin-notice", app.Version())
		return nil
	case flags.Arg(0) == "health" && flags.NArg() == 1:
		return app.Healthy(ctx, app.HealthURL)
	case flags.Arg(0) == "health" && flags.NArg() == 2:
		return app.Healthy(ctx, flags.Arg(1))
	case flags.NArg() > 0:
		return usageError{fmt.Errorf("cannot make sense of %q; see --help", flags.Args())}
	}
	return serve(ctx, *file, *profile)
}

func serve(ctx context.Context, file, profile string) error {
	if _, err := os.Stat(file); file != "" && err != nil {
		return usageError{fmt.Errorf("--config: %w", err)}
	}
	s, err := app.Load(file)
	if err != nil {
		return err
	}
	stop, err := process.ProfileCPU(profile)
	if err != nil {
		return err
	}
	s.Services = []string{event.Notice}
	return errors.Join(app.Run(ctx, s, app.Options{Services: map[string]app.Builder{event.Notice: sender.New}}), stop())
}
