// Command tocsin is Tocsin in one binary: the demo, every service, and the
// command-line client.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"tocsin.dev/pkg/process"
	"tocsin.dev/services/app"
)

// commands is the whole command line.
type commands struct {
	Demo  demoCmd  `cmd:"" help:"Start everything with sample organisations and look-alike providers. Nothing can reach a real person."`
	Up    upCmd    `cmd:"" help:"Run every service in this process, with embedded NATS and SQLite unless configured otherwise."`
	Run   runCmd   `cmd:"" help:"Run one service against a NATS cluster and PostgreSQL."`
	Setup setupCmd `cmd:"" help:"Make the streams and buckets of a NATS cluster, as its admin user, and end."`

	Sandbox sandboxCmd `cmd:"" help:"Run the look-alike providers alone, with the accounts of the settings."`

	Inventory inventoryCmd `cmd:"" help:"Import, check and look at the people inventory."`
	Scope     scopeCmd     `cmd:"" help:"Preview, seal, compare and export the lists of affected people."`
	Notice    noticeCmd    `cmd:"" help:"Steer and watch the telling of people: progress, doubts, report, forecast."`
	Wording   wordingCmd   `cmd:"" help:"Check, preview and compare the texts of a case."`
	Approval  approvalCmd  `cmd:"" help:"Show and verify who said yes to what."`
	Journal   journalCmd   `cmd:"" help:"Export the journal of a case."`
	Law       lawCmd       `cmd:"" help:"Ask the law engine: duties, rules, cases, severity."`
	Mapping   mappingCmd   `cmd:"" help:"Test and explain the mappings of alerts."`
	Dead      deadCmd      `cmd:"" help:"Look at parked messages and give them another try."`

	Bench benchCmd `cmd:"" help:"Measure the program on this machine."`

	Health       healthCmd       `cmd:"" help:"Ask a running process whether it is ready; for health checks of containers."`
	HashPassword hashPasswordCmd `cmd:"" help:"Read a password from standard input and print its hash for the users file."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := process.Signals(context.Background())
	defer stop()
	var cli commands
	k := kong.Parse(&cli,
		kong.Name("tocsin"),
		kong.Description("Tocsin carries a personal-data breach from the first alert to the proof that every affected person was told."),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err := k.Run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "tocsin:", err)
		os.Exit(exitCode(err))
	}
}

// exit is an error that asks for a status other than 1.
type exit struct {
	code int
	error
}

func exitCode(err error) int {
	var e exit
	if errors.As(err, &e) {
		return e.code
	}
	return 1
}

type versionCmd struct{}

// Run prints the module version or the revision it was built from.
func (versionCmd) Run() error {
	fmt.Println("tocsin", app.Version())
	return nil
}
