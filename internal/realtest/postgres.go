package realtest

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgresImage = "postgres:17"
	// postgresUser is superuser, and its own password.
	postgresUser = "klaxon"
)

// Postgres is a PostgreSQL server. Its user is a superuser.
type Postgres struct {
	// URL is the address of its first database, postgres://user:password@host:port/database. Databases of other tests live on the server
	// too: a test makes one of its own.
	URL string
	// CA is the file with the authority that signed its certificate, for localhost; "" where it is not known to have one.
	CA string

	server *server
}

func newPostgres(one *server) *Postgres {
	p := &Postgres{URL: one.address, server: one}
	if local, ok := one.unit.(*process); ok {
		p.CA = filepath.Join(local.dir, "server.pem")
	}
	return p
}

// Kill9 ends the server as a power cut would, and returns once its port is free. Its data stay.
func (p *Postgres) Kill9() error { return p.server.end(true) }

// Restart starts the server again on its old port and data, stopping it first if it runs, and returns once it can be used.
func (p *Postgres) Restart() error { return p.server.restart() }

func postgresKind() kind {
	return kind{
		name:     "postgres",
		variable: "KLAXON_TEST_POSTGRES",
		ready:    postgresReady,
		docker:   postgresContainer,
		local:    postgresProcess,
	}
}

func postgresAddress(port int) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(postgresUser, postgresUser), Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/postgres"}
	return u.String()
}

func postgresReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

func postgresContainer() (container, string, error) {
	ports, err := freePorts(1)
	if err != nil {
		return container{}, "", err
	}
	return container{
		image: postgresImage,
		args: []string{
			"--publish", fmt.Sprintf("127.0.0.1:%d:5432", ports[0]),
			"--env", "POSTGRES_USER=" + postgresUser, "--env", "POSTGRES_PASSWORD=" + postgresUser,
		},
	}, postgresAddress(ports[0]), nil
}

// postgresBinaries is the folder of the newest installed server. Debian keeps each version in a folder of its own, outside of PATH.
func postgresBinaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		newest := func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) } // 9.6 before 15
		return filepath.Dir(slices.MaxFunc(found, newest)), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("no PostgreSQL is installed; on Debian: apt-get install --no-install-recommends postgresql")
	}
	return filepath.Dir(path), nil
}

func postgresProcess(ctx context.Context, c cache) (unit, string, error) {
	bin, err := postgresBinaries()
	if err != nil {
		return nil, "", err
	}
	dir, err := c.newRun("postgres")
	if err != nil {
		return nil, "", err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, "", err
	}
	if err := writePostgresFiles(dir); err != nil {
		return nil, "", err
	}
	user := -1
	if os.Geteuid() == 0 { // which PostgreSQL refuses
		user = unprivileged
		if err := giveTo(dir, user); err != nil {
			return nil, "", err
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", data, "--username", postgresUser, "--pwfile", filepath.Join(dir, "password"),
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, ownGroup(user)
	if out, err := initdb.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, "", fmt.Errorf("cannot make a PostgreSQL cluster (%w):\n%s", err, lastLines(out))
	}
	if err := configurePostgres(data, dir, ports[0]); err != nil {
		return nil, "", err
	}
	p := &process{
		argv: []string{filepath.Join(bin, "postgres"), "-D", data},
		env:  os.Environ(),
		dir:  dir,
		log:  filepath.Join(dir, "server.log"),
		user: user,
	}
	return p, postgresAddress(ports[0]), nil
}

// configurePostgres adds settings to the cluster's own. Without fsync: what the server wrote survives its own end, and no test ends the
// machine.
func configurePostgres(data, dir string, port int) error {
	f, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("cannot configure PostgreSQL: %w", err)
	}
	for _, setting := range [][2]string{
		{"listen_addresses", "127.0.0.1"}, {"port", fmt.Sprint(port)}, {"unix_socket_directories", dir}, {"max_connections", "200"}, {"shared_buffers", "32MB"},
		{"ssl", "on"}, {"ssl_cert_file", filepath.Join(dir, "server.pem")}, {"ssl_key_file", filepath.Join(dir, "server.key")},
		{"fsync", "off"}, {"deadlock_timeout", "200ms"},
	} {
		if _, err = fmt.Fprintf(f, "%s = '%s'\n", setting[0], setting[1]); err != nil {
			break
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot configure PostgreSQL: %w", err)
	}
	return nil
}

// writePostgresFiles writes the superuser's password, and a certificate that is its own authority.
func writePostgresFiles(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	name := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "klaxon-realtest"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, name, name, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for file, data := range map[string][]byte{
		"password":   []byte(postgresUser),
		"server.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		"server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			return fmt.Errorf("cannot write PostgreSQL's %s: %w", file, err)
		}
	}
	return nil
}
