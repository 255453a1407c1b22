package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var errStandby = errors.New("the server is a standby and takes no writes: name the primary, or several hosts with target_session_attrs=read-write")

// Codes of PostgreSQL's errors, appendix A of its manual.
const (
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codePassword      = "28P01"
	codeAuthorization = "28000"
	codeNoDatabase    = "3D000"
	codePrivilege     = "42501"
	codeTableExists   = "42P07"
	codeConnections   = "53300"
	codeStarting      = "57P03"
	codeReadOnly      = "25006"
	codeLock          = "55P03"
)

// again says of which failures PostgreSQL promises that the transaction left nothing behind, and that another try may succeed.
func again(err error) bool {
	code := codeOf(err)
	return code == codeSerialization || code == codeDeadlock
}

func codeOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// explain names the server and the database, and says what to do where that is known.
func explain(cfg *pgx.ConnConfig, err error) error {
	hint := hint(cfg, err)
	if hint != "" {
		hint = ": " + hint
	}
	return fmt.Errorf("%s: %w%s", place(cfg), &plainError{err}, hint)
}

// place names servers and database.
func place(cfg *pgx.ConnConfig) string {
	return fmt.Sprintf("PostgreSQL at %s, database %s", servers(cfg), cfg.Database)
}

// servers are the addresses that are tried.
func servers(cfg *pgx.ConnConfig) string {
	out := []string{address(cfg.Host, cfg.Port)}
	for _, f := range cfg.Fallbacks {
		if a := address(f.Host, f.Port); a != out[len(out)-1] { // a host is there twice when it is tried with TLS and without
			out = append(out, a)
		}
	}
	return strings.Join(out, ", ")
}

func address(host string, port uint16) string { return net.JoinHostPort(host, fmt.Sprint(port)) }

func hint(cfg *pgx.ConnConfig, err error) string {
	switch codeOf(err) {
	case codePassword:
		return fmt.Sprintf("check the user %s and its password", cfg.User)
	case codeAuthorization:
		return fmt.Sprintf("make the user with CREATE USER %s, or let it in from here in the server's pg_hba.conf", cfg.User)
	case codeNoDatabase:
		return fmt.Sprintf("make it with CREATE DATABASE %s OWNER %s ENCODING 'UTF8' TEMPLATE template0", cfg.Database, cfg.User)
	case codePrivilege:
		return fmt.Sprintf("make the user %[1]s the database's owner, or GRANT CREATE, USAGE ON SCHEMA public TO %[1]s", cfg.User)
	case codeTableExists:
		return "something else keeps its tables here: give klaxon a database of its own"
	case codeConnections:
		return fmt.Sprintf("every klaxon takes up to %d connections: raise the server's max_connections", writers+readers)
	case codeStarting:
		return "it is starting, stopping or recovering: wait"
	case codeReadOnly:
		return errStandby.Error()
	case codeLock:
		return "another process holds the lock; if it is bringing the tables up to date, wait"
	}
	return connectHint(err)
}

// connectHint is for a server that was not reached.
func connectHint(err error) string {
	var dns *net.DNSError
	var network *net.OpError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &authority):
		return "its certificate is not signed by an authority that is trusted here: name the right one in ca_file"
	case errors.As(err, &name):
		return "its certificate is for another name: use that name in the address, or sslmode=verify-ca"
	case strings.Contains(err.Error(), "refused TLS"):
		return "the server has no TLS: turn it on there, or write sslmode=disable where the network is your own"
	case errors.As(err, &dns):
		return "check the host's name"
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return "check host and port, that the server runs, and that a firewall lets you through"
	}
	return ""
}

// plainError shows an error in one line: of an answer of the server its text, of a failure to connect each cause once.
type plainError struct{ err error }

func (e *plainError) Unwrap() error { return e.err }

func (e *plainError) Error() string {
	var connect *pgconn.ConnectError
	var pg *pgconn.PgError
	switch {
	case errors.As(e.err, &connect) && errors.As(e.err, &pg):
		return pg.Message
	case errors.As(e.err, &connect):
		return "cannot connect: " + oneLine(connect.Unwrap().Error())
	}
	return oneLine(e.err.Error())
}

func oneLine(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" && (len(out) == 0 || out[len(out)-1] != line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "; ")
}
