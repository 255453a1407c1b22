// Package certs reads the certificates of a TLS client from files, and reads them anew when they were renewed.
package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// ErrEncrypted says that a key is protected by a password, which cannot be given here.
var ErrEncrypted = errors.New("the key is encrypted with a password")

// Files names what a TLS client needs, each in PEM form.
type Files struct {
	CA         string // whom to trust; "": the system's authorities
	Cert, Key  string // the client's own certificate and its key, both or neither
	ServerName string // whom the server's certificate must be for; "": the host that is called
}

// Source is a TLS configuration that follows its files. It is safe for concurrent use.
type Source struct {
	files  Files
	failed func(error)

	mu      sync.Mutex
	current *tls.Config
	read    [][]byte // what current was made of
	told    string
}

// Open reads the files. Later, failed is told when they cannot be read any more, the same text once; it may be nil.
func Open(f Files, failed func(error)) (*Source, error) {
	s := &Source{files: f, failed: failed}
	if err := s.reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Config is the configuration as the files are now; where they cannot be used, as they were when they last could. The caller must
// not change it.
func (s *Source) Config() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.reload()
	switch {
	case err == nil:
		s.told = ""
	case err.Error() != s.told && s.failed != nil:
		s.told = err.Error()
		s.failed(err)
	}
	return s.current
}

// Lasting is a configuration for a client that takes one for good: its own certificate follows the files, whom it trusts does not.
func (s *Source) Lasting() *tls.Config {
	c := s.Config().Clone()
	if len(c.Certificates) == 0 {
		return c
	}
	c.Certificates = nil
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &s.Config().Certificates[0], nil }
	return c
}

// Subject is the distinguished name of the client's certificate, which brokers know it by; "" where there is none.
func (s *Source) Subject() string {
	for _, c := range s.Config().Certificates {
		if c.Leaf != nil {
			return c.Leaf.Subject.String()
		}
	}
	return ""
}

// reload makes the configuration anew if a file's content changed.
func (s *Source) reload() error {
	var read [][]byte
	for _, name := range []string{s.files.CA, s.files.Cert, s.files.Key} {
		if name == "" {
			read = append(read, nil)
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		read = append(read, data)
	}
	if s.current != nil && slices.EqualFunc(read, s.read, bytes.Equal) {
		return nil
	}
	cfg, err := s.files.config(read[0], read[1], read[2])
	if err != nil {
		return err
	}
	s.current, s.read = cfg, read
	return nil
}

func (f *Files) config(ca, cert, key []byte) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	if f.CA != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", f.CA)
		}
	}
	if f.Cert == "" {
		return cfg, nil
	}
	if Encrypted(key) {
		return nil, fmt.Errorf("%s: %w", f.Key, ErrEncrypted)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s with %s: %w", f.Cert, f.Key, err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

// Encrypted says whether a key in PEM form is protected by a password, in either of the two ways that are in use.
func Encrypted(key []byte) bool {
	for block, rest := pem.Decode(key); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.HasSuffix(block.Type, "PRIVATE KEY") && strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}
