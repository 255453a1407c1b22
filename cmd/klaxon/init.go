package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/diag"
	"go.uber.org/zap"
)

type initCmd struct {
	Brokers       []string      `env:"KLAXON_KAFKA" help:"Brokers to ask; others are learned from them." placeholder:"HOST:PORT"`
	TLS           bool          `help:"Connect with TLS; the next four say so too."`
	CAFile        string        `type:"existingfile" help:"Certificates to trust, instead of the system's." placeholder:"FILE"`
	CertFile      string        `type:"existingfile" help:"A client certificate, with its key." placeholder:"FILE"`
	KeyFile       string        `type:"existingfile" help:"The client certificate's key." placeholder:"FILE"`
	ServerName    string        `help:"The name in the brokers' certificates, if it is not their address." placeholder:"NAME"`
	SASLMechanism string        `name:"sasl-mechanism" help:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, which is the default where there is a user name." placeholder:"NAME"`
	Username      string        `help:"Who to be to the brokers." placeholder:"NAME"`
	PasswordFile  string        `type:"existingfile" help:"File that holds the password, and nothing else." placeholder:"FILE"`
	Topics        []string      `help:"Look at these topics only; * is any text, ? any character; may be repeated." placeholder:"GLOB"`
	Sample        int           `default:"200" help:"Records to read of each topic, at most."`
	ArchiveDir    string        `help:"Archive in this folder; data/archive unless there is --elasticsearch." placeholder:"DIR"`
	Elasticsearch string        `help:"Archive in this cluster." placeholder:"URL"`
	Output        string        `short:"o" default:"klaxon.yaml" help:"Where to write the configuration, klaxon.yaml without it; - is standard output, and the report goes to standard error then." placeholder:"FILE"`
	Force         bool          `help:"Overwrite the file."`
	CreateTopics  bool          `help:"Create klaxon's own topics. Without it nothing is written to the brokers."`
	Timeout       time.Duration `default:"2m" help:"How long looking may take."`
	JSON          bool          `help:"Print JSON lines."`
	unitFlags
}

const (
	maxSample     = 10_000      // records of one topic
	createTimeout = time.Minute // of klaxon's own topics
)

// Run asks the brokers which topics there are, reads a sample of each, writes a configuration for those that hold logs, and says what
// it found. It writes nothing to the brokers unless --create-topics says so.
func (c *initCmd) Run(ctx context.Context, std streams) error {
	if err := c.check(); err != nil {
		return err
	}
	cfg, err := c.config(std)
	if err != nil {
		return err
	}
	g, err := loadOrExplain(cfg.sources())
	if err != nil {
		return err
	}
	kc, err := kafkaConfig(cfg.Kafka, zap.NewNop())
	if err != nil {
		return err
	}
	client := kafka.NewClient(kc)
	defer client.Close()
	found, err := c.look(ctx, client, &cfg, g, std.err)
	if err != nil {
		return err
	}
	result := &initResult{survey: found, Brokers: c.Brokers}
	if err := c.write(result, std.out); err != nil {
		return err
	}
	var refused error
	if c.CreateTopics {
		result.Created, refused = createTopics(ctx, client, cfg)
	}
	if err := c.report(result, std); err != nil && refused == nil {
		return err
	}
	return refused
}

// check completes the flags and finds what is wrong with them before anything is done.
func (c *initCmd) check() error {
	c.TLS = c.TLS || c.CAFile != "" || c.CertFile != "" || c.KeyFile != "" || c.ServerName != ""
	if c.SASLMechanism == "" && c.Username != "" {
		c.SASLMechanism = "SCRAM-SHA-512"
	}
	if c.ArchiveDir == "" && c.Elasticsearch == "" {
		c.ArchiveDir = "data/archive"
	}
	switch {
	case len(c.Brokers) == 0:
		return errors.New("which brokers? Name one with --brokers HOST:PORT, or set KLAXON_KAFKA")
	case c.SASLMechanism == "" && c.PasswordFile != "":
		return errors.New("--password-file is nobody's: add --username")
	case c.SASLMechanism != "" && (c.Username == "" || c.PasswordFile == ""):
		return errors.New("SASL needs both --username and --password-file")
	case c.Sample < 1 || c.Sample > maxSample:
		return fmt.Errorf("--sample must be between 1 and %d, not %d", maxSample, c.Sample)
	case c.Timeout <= 0:
		return fmt.Errorf("--timeout must be longer than %s", c.Timeout)
	}
	if _, err := os.Stat(c.Output); c.Output != "-" && err == nil && !c.Force {
		return c.exists()
	}
	return nil
}

func (c *initCmd) exists() error {
	return fmt.Errorf("%s is there already: name another file with --output, or overwrite it with --force", c.Output)
}

// config is the configuration that the flags alone make, read as any other: what is wrong with them is wrong with it, and what
// connects here will connect there.
func (c *initCmd) config(std streams) (Config, error) {
	text, err := c.render(&survey{})
	if err != nil {
		return Config{}, err
	}
	var list diag.List
	cfg := parseConfig(c.file(), []byte(text), os.LookupEnv, &list)
	if !list.HasErrors() {
		return cfg, nil
	}
	for _, d := range list {
		d.File, d.Line, d.Column = "the command line", 0, 0
		fmt.Fprintln(std.err, d)
	}
	return Config{}, errBroken
}

// look asks the brokers, and reads a sample of every topic that is wanted.
func (c *initCmd) look(ctx context.Context, client *kafka.Client, cfg *Config, g *loaded, progress io.Writer) (*survey, error) {
	limited, done := context.WithTimeout(ctx, c.Timeout)
	defer done()
	if err := client.Ping(limited); err != nil {
		return nil, err
	}
	all, err := client.List(limited)
	if err != nil {
		return nil, err
	}
	topics := wanted(all, c.Topics, ownTopicNames(cfg))
	_, live := terminal(progress)
	found := surveyTopics(limited, client, g, topics, c.Sample, func(done int) {
		if live {
			fmt.Fprintf(progress, "\r\x1b[2K%d of %d topics", done, len(topics))
		}
	})
	if live && len(topics) > 0 {
		fmt.Fprint(progress, "\r\x1b[2K")
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("nothing was written: %w", ctx.Err())
	}
	return found, nil
}

// ownTopicNames is the topics that klaxon writes itself.
func ownTopicNames(cfg *Config) []string {
	return []string{cfg.Kafka.HitsTopic, cfg.Kafka.DeadLetters, cfg.Deliver.AlertsTopic}
}

// write writes the configuration. A file that came to be meanwhile is not overwritten either.
func (c *initCmd) write(r *initResult, out io.Writer) error {
	text, err := c.render(r.survey)
	if err != nil {
		return err
	}
	if c.Output == "-" {
		_, err := io.WriteString(out, text)
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(c.Output, flags, 0o644)
	if errors.Is(err, os.ErrExist) {
		return c.exists()
	}
	if err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	r.File = c.Output
	return nil
}

// createTopics creates klaxon's own topics as 'klaxon run' would.
func createTopics(ctx context.Context, client *kafka.Client, cfg Config) ([]string, error) {
	ctx, done := context.WithTimeout(ctx, createTimeout)
	defer done()
	if err := (&app{cfg: cfg, client: client}).ensureTopics(ctx); err != nil {
		return nil, err
	}
	return ownTopicNames(&cfg), nil
}

// report prints what was found. It is a finding that no topic holds logs, or that one could not be read.
func (c *initCmd) report(r *initResult, std streams) error {
	out := std.out
	if c.Output == "-" {
		out = std.err
	}
	var err error
	if c.JSON {
		err = r.printJSON(out)
	} else {
		err = r.print(out, c.Sample)
	}
	if err != nil {
		return err
	}
	if len(r.logs()) == 0 || len(r.which(func(f *finding) bool { return f.Skip == skipFailed })) > 0 {
		return errFindings
	}
	return nil
}
