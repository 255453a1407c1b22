// Package outbound is what every sink needs that calls somebody else's system by HTTP: a client that goes nowhere but where it was
// told to, errors that say when to come again, and texts of strangers that are fit for a log.
package outbound

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Bounds of what a server may make of a client.
const (
	// MaxRetryAfter bounds how long a server may ask to be left alone. Deliveries wait no longer for one try either.
	MaxRetryAfter = 5 * time.Minute
	maxHeader     = 16 << 10
	maxShown      = 200
)

// NewClient makes a client that follows no redirect: a redirect would send what is meant for one server to another. Timeout bounds a
// request, with its answer; t is for servers with a private certificate or that ask for one, nil: the system's authorities.
func NewClient(timeout time.Duration, t *tls.Config) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: timeout}).DialContext, TLSClientConfig: t,
			TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: maxHeader,
			MaxConnsPerHost: 4, MaxIdleConns: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, DisableCompression: true,
		},
	}
}

// ParseURL reads the address of a server. Its errors show nothing of it, for it may hold a secret.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the url is no http or https address")
	}
	return u, nil
}

// Unaddressed takes the address off an error of an HTTP client: its path or query may be a secret.
func Unaddressed(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// RetryError is a failure that may pass.
type RetryError struct {
	Text  string
	After time.Duration
}

// Error says what happened.
func (e *RetryError) Error() string { return e.Text }

// RetryAfter is how long the server wants to be left alone, or 0 if it did not say.
func (e *RetryError) RetryAfter() time.Duration { return e.After }

// RetryAfter reads the header of that name, which is a number of seconds or a date. What cannot be read says nothing.
func RetryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, MaxRetryAfter)
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return min(at.Sub(now), MaxRetryAfter)
	}
	return 0
}

// Shown is the beginning of what a server said, as one line without control characters, and without our secrets.
func Shown(s string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[secret]")
		}
	}
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > maxShown {
		return string(runes[:maxShown]) + "…"
	}
	return s
}
