package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Config says which database to use. Zero values are replaced by the defaults named here.
type Config struct {
	// URL names server, user and database as libpq does: postgres://klaxon@db.example:5432/klaxon?sslmode=verify-full. Several hosts are tried
	// in turn. It may hold the password.
	URL string
	// Password is used instead of one in the URL.
	Password string
	// CAFile is the certificate authority of the server, in PEM form; the server is then verified, unless the URL's sslmode asks for less.
	CAFile string
	// Pause is how long a process may stand still in a transaction before the server ends it and frees what it locked: less than
	// the time after which others take over; 5 s.
	Pause time.Duration
}

func (c Config) pause() time.Duration { return cmp.Or(c.Pause, defaultPause) }

// Check reads the configuration as Open does, without connecting. Errors hold no secret.
func (c Config) Check() error {
	_, err := c.parse()
	return err
}

// String names servers and database, and nothing else of the address.
func (c Config) String() string {
	cfg, err := c.parse()
	if err != nil {
		return "PostgreSQL"
	}
	return place(cfg)
}

// IsURL says whether a text is meant as the address of a database, rather than as the name of a file.
func IsURL(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

var errURL = errors.New("it is no address of a PostgreSQL database: write postgres://user@host:5432/database; characters such as @ and / of a password are written as %40 and %2F")

// parse reads the address. Its errors are our own where another one could show a password.
func (c Config) parse() (*pgx.ConnConfig, error) {
	u, err := url.Parse(c.URL)
	if err != nil || !IsURL(c.URL) {
		return nil, errURL
	}
	query := u.Query()
	if u.Path == "" || u.Path == "/" {
		if query.Get("dbname") == "" {
			return nil, errors.New("the address names no database: write postgres://user@host:5432/database")
		}
	}
	if c.CAFile != "" {
		if err := c.verify(query); err != nil {
			return nil, err
		}
		u.RawQuery = query.Encode()
	}
	cfg, err := pgx.ParseConfig(u.String())
	if err != nil {
		var parse *pgconn.ParseConfigError
		if errors.As(err, &parse) && parse.Unwrap() != nil { // its own text holds the address
			return nil, fmt.Errorf("the address of the PostgreSQL database cannot be used: %w", parse.Unwrap())
		}
		return nil, errURL
	}
	if c.Password != "" {
		cfg.Password = c.Password
	}
	if !query.Has("connect_timeout") {
		cfg.ConnectTimeout = connectTimeout
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "klaxon"
	}
	return cfg, nil
}

// verify asks for a server whose certificate the authority has signed.
func (c Config) verify(query url.Values) error {
	if _, err := os.ReadFile(c.CAFile); err != nil {
		return fmt.Errorf("cannot read ca_file: %w", err)
	}
	if query.Has("sslrootcert") {
		return errors.New("the address has an sslrootcert beside ca_file: leave one of them out")
	}
	query.Set("sslrootcert", c.CAFile)
	switch query.Get("sslmode") {
	case "":
		query.Set("sslmode", "verify-full")
	case "disable", "allow", "prefer":
		return fmt.Errorf("sslmode=%s does not go with ca_file, for nothing would be verified: write sslmode=verify-full, or leave it out", query.Get("sslmode"))
	}
	return nil
}
