package elasticsearch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	elastic "github.com/elastic/go-elasticsearch/v8"
)

const (
	productHeader = "X-Elastic-Product"
	product       = "Elasticsearch"
	// assumedHeader marks answers that did not name the product.
	assumedHeader    = "X-Klaxon-Product-Assumed"
	maxResponseBytes = 64 << 20
)

// newTransport is how requests travel.
func newTransport(cfg Config) (http.RoundTripper, error) {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: cfg.Concurrency + 2,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the authorities of Elasticsearch's certificate: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", cfg.CAFile)
		}
	}
	return productNamer{t}, nil
}

// productNamer names the product where the server did not: OpenSearch does not, and the client would answer with an error after the
// documents were written.
type productNamer struct{ next http.RoundTripper }

func (p productNamer) RoundTrip(q *http.Request) (*http.Response, error) {
	r, err := p.next.RoundTrip(q)
	if r != nil && r.Header.Get(productHeader) == "" {
		r.Header.Set(productHeader, product)
		r.Header.Set(assumedHeader, "true")
	}
	return r, err
}

// answer is a whole response.
type answer struct {
	status int
	body   []byte
	named  bool // the server called itself Elasticsearch
}

// request sends one request, once, and reads the whole answer into buf. gzipped says that body is.
func (c *Client) request(ctx context.Context, to *elastic.BaseClient, method, path string, body []byte, gzipped bool, buf *bytes.Buffer) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var reader io.Reader
	if body != nil {
		lent := &lentBody{r: bytes.NewReader(body)}
		defer lent.giveBack()
		reader = lent
	}
	q, err := http.NewRequestWithContext(ctx, method, path, reader)
	if err != nil {
		return answer{}, fmt.Errorf("cannot make a request: %w", err)
	}
	if body != nil {
		q.ContentLength = int64(len(body))
		q.Header.Set("Content-Type", "application/json")
	}
	if gzipped {
		q.Header.Set("Content-Type", "application/x-ndjson")
		q.Header.Set("Content-Encoding", "gzip")
	}
	q.Header.Set("Accept", "application/json")
	r, err := to.Perform(q)
	if err != nil {
		return answer{}, err
	}
	defer r.Body.Close()
	buf.Reset()
	n, err := buf.ReadFrom(io.LimitReader(r.Body, maxResponseBytes+1))
	if err == nil && n > maxResponseBytes {
		err = fmt.Errorf("the answer has more than %d bytes", maxResponseBytes)
	}
	return answer{r.StatusCode, buf.Bytes(), r.Header.Get(assumedHeader) == ""}, err
}

// errGivenBack ends the reading of a body that was given back.
var errGivenBack = errors.New("the request has ended")

// lentBody is a request's body that can be given back: a server may answer before it has read everything, and then the connection
// would still read the buffer while the next request is written into it.
type lentBody struct {
	mu sync.Mutex
	r  *bytes.Reader
}

func (b *lentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errGivenBack
	}
	return b.r.Read(p)
}

func (b *lentBody) giveBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r = nil
}
