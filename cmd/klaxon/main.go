// Command klaxon reads audit and application logs from Kafka, normalises them to ECS, decides which detection rules they meet,
// turns alerts into incidents, and archives everything.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// Exit codes: 0 fine, 1 findings, or stopped before everything was finished, 2 usage or configuration.
const (
	exitFindings = 1
	exitError    = 2
)

// errFindings ends a command whose output already says what it found.
var errFindings = errors.New("findings")

// errBroken ends a command whose output already says what is wrong with its input.
var errBroken = errors.New("errors in the input")

// cli is the command line.
type cli struct {
	Run       runCmd       `cmd:"" help:"Run the loops that a configuration names."`
	Check     checkCmd     `cmd:"" help:"Check a configuration, its datasets and its rules."`
	Status    statusCmd    `cmd:"" help:"Ask running processes how they are."`
	Demo      demoCmd      `cmd:"" help:"Watch klaxon catch attacks in realistic traffic: everything embedded."`
	Init      initCmd      `cmd:"" help:"Look at a cluster and write a configuration for it."`
	Parse     parseCmd     `cmd:"" help:"Normalise log records and print them as ECS documents."`
	Search    searchCmd    `cmd:"" help:"Search the local archive with the rule language."`
	Rules     rulesCmd     `cmd:"" help:"Test, lint, list and show rules."`
	Datasets  datasetsCmd  `cmd:"" help:"List and test datasets."`
	Incidents incidentsCmd `cmd:"" help:"List, show and work on incidents."`
	Outbox    outboxCmd    `cmd:"" help:"List what destinations have not been told, and have it tried again."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// streams is where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// terminal says whether w is one, and how wide it is.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width, true
	}
	return 80, true
}

func main() { os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})) }

// run is main without the process: arguments and streams in, exit code out.
func run(args []string, std streams) (code int) {
	var c cli
	ended := -1
	parser, err := kong.New(&c, kong.Name("klaxon"), kong.Description("Detection for logs in Kafka: nothing lost, nothing twice."),
		kong.UsageOnError(), kong.Writers(std.out, std.err), kong.Exit(func(code int) { ended = code }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(std.err, "klaxon:", err)
		return exitError
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	if ended >= 0 { // --help was printed
		return ended
	}
	if err != nil {
		fmt.Fprintf(std.err, "klaxon: %s\nTry 'klaxon --help'.\n", err)
		return exitError
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // a second signal stops at once: NotifyContext's handler is gone after the first
		<-ctx.Done()
		stop()
	}()
	kctx.BindTo(ctx, (*context.Context)(nil))
	kctx.Bind(std)
	switch err := kctx.Run(); {
	case err == nil:
		return 0
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.Is(err, errBroken):
		return exitError
	case errors.Is(err, errUnfinished):
		fmt.Fprintln(std.err, "klaxon:", err)
		return exitFindings
	default:
		fmt.Fprintln(std.err, "klaxon:", err)
		return exitError
	}
}
