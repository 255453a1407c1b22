package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes a certificate for somebody and writes it and its key.
func write(t *testing.T, dir, name string) Files {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := Files{Cert: filepath.Join(dir, "client.pem"), Key: filepath.Join(dir, "client.key"), CA: filepath.Join(dir, "ca.pem"), ServerName: "kafka.example"}
	put(t, f.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	put(t, f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	put(t, f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return f
}

func put(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRenewedCertificatesAreUsed(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(write(t, dir, "first"), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := s.Config()
	if s.Subject() != "CN=first,O=Example" || before.ServerName != "kafka.example" || before.RootCAs == nil || s.Config() != before {
		t.Errorf("subject %s, configuration %+v", s.Subject(), before)
	}
	write(t, dir, "second")
	after := s.Config()
	if s.Subject() != "CN=second,O=Example" || after.RootCAs.Equal(before.RootCAs) {
		t.Errorf("subject %s", s.Subject())
	}
	if before.Certificates[0].Leaf.Subject.CommonName != "first" {
		t.Error("a configuration in use was changed")
	}
}

func TestLastingFollowsTheClientsCertificate(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(write(t, dir, "first"), nil)
	if err != nil {
		t.Fatal(err)
	}
	lasting := s.Lasting()
	write(t, dir, "second")
	pair, err := lasting.GetClientCertificate(nil)
	if err != nil || pair.Leaf.Subject.CommonName != "second" || lasting.Certificates != nil || lasting.RootCAs == nil {
		t.Errorf("%+v, %v", pair, err)
	}
	if s, err = Open(Files{}, nil); err != nil || s.Lasting().GetClientCertificate != nil {
		t.Errorf("a client without a certificate: %v", err)
	}
}

func TestFilesThatBreakLeaveTheOldOnesInUse(t *testing.T) {
	dir := t.TempDir()
	files := write(t, dir, "first")
	var told []error
	s, err := Open(files, func(err error) { told = append(told, err) })
	if err != nil {
		t.Fatal(err)
	}
	put(t, files.Key, []byte("half a k"))
	for range 3 {
		if s.Subject() != "CN=first,O=Example" {
			t.Errorf("subject %q", s.Subject())
		}
	}
	if err := os.Remove(files.CA); err != nil {
		t.Fatal(err)
	}
	s.Config()
	if len(told) != 2 || !strings.Contains(told[0].Error(), files.Key) || !errors.Is(told[1], os.ErrNotExist) {
		t.Errorf("told %v", told)
	}
	write(t, dir, "second")
	if s.Subject() != "CN=second,O=Example" || len(told) != 2 {
		t.Errorf("subject %q, told %v", s.Subject(), told)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "x")
	put(t, filepath.Join(dir, "pkcs8.key"), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	put(t, filepath.Join(dir, "old.key"), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")}))
	put(t, filepath.Join(dir, "empty"), nil)
	for name, c := range map[string]struct {
		files Files
		want  string
	}{
		"no CA":                {Files{CA: filepath.Join(dir, "nowhere")}, "nowhere"},
		"an empty CA":          {Files{CA: filepath.Join(dir, "empty")}, "holds no certificate"},
		"no key":               {Files{Cert: good.Cert, Key: filepath.Join(dir, "nowhere")}, "nowhere"},
		"a key with password":  {Files{Cert: good.Cert, Key: filepath.Join(dir, "pkcs8.key")}, ErrEncrypted.Error()},
		"an old one":           {Files{Cert: good.Cert, Key: filepath.Join(dir, "old.key")}, ErrEncrypted.Error()},
		"a certificate as key": {Files{Cert: good.Cert, Key: good.CA}, "cannot use"},
	} {
		if _, err := Open(c.files, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := Open(Files{}, nil)
	if err != nil || s.Config().RootCAs != nil || s.Subject() != "" {
		t.Errorf("without files: %v", err)
	}
}
