package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// dial connects to a broker, in TLS where it is on. kafka-go can do that too, but only with one configuration for ever, and
// certificates are renewed on disk.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil || c.cfg.TLS == nil {
		return conn, err
	}
	secure := tls.Client(conn, tlsFor(c.cfg.TLS(), address))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return secure, nil
}

// tlsFor is a configuration for one address: the certificate must be for its host, unless another name is set.
func tlsFor(cfg *tls.Config, address string) *tls.Config {
	if cfg.ServerName != "" {
		return cfg
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	cfg = cfg.Clone()
	cfg.ServerName = host
	return cfg
}
