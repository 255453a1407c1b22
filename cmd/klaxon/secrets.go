package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
)

// secrets is what must be shown to nobody. Our own texts do not hold it, but some servers answer with what they were sent, and
// such an answer is part of an error.
type secrets []string

// What is shorter is not hidden: it would take innocent words with it. Of an address only long parts are taken for secrets.
const (
	minSecret     = 6
	minSecretPart = 12
)

// add notes a secret; who is the user that it belongs to, or "".
func (s *secrets) add(who, secret string) {
	if len(secret) >= minSecret {
		*s = append(*s, secret, base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	if scheme, token, ok := strings.Cut(secret, " "); ok && len(token) >= minSecret && !strings.Contains(scheme, ":") { // as in Bearer and a token
		*s = append(*s, token)
	}
	if who != "" {
		*s = append(*s, base64.StdEncoding.EncodeToString([]byte(who+":"+secret)))
	}
}

// addURL notes what of an address may be a secret: the receiver's own key is often a part of its path or query.
func (s *secrets) addURL(address string) {
	u, err := url.Parse(address)
	if err != nil {
		return
	}
	parts := strings.Split(u.Path, "/")
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	for _, part := range parts {
		if len(part) >= minSecretPart {
			*s = append(*s, part)
		}
	}
}

// hidden is what stands in a secret's place.
const hidden = "[hidden]"

// replacer takes every secret out of a text, in the forms in which it may be quoted.
func (s secrets) replacer() *strings.Replacer {
	forms := map[string]bool{}
	for _, secret := range s {
		forms[secret], forms[url.QueryEscape(secret)], forms[url.PathEscape(secret)] = true, true, true
		if quoted, err := json.Marshal(secret); err == nil {
			forms[string(quoted[1:len(quoted)-1])] = true
		}
	}
	var all []string
	for form := range forms {
		all = append(all, form)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // one may be part of another
	pairs := make([]string, 0, 2*len(all))
	for _, form := range all {
		pairs = append(pairs, form, hidden)
	}
	return strings.NewReplacer(pairs...)
}

// writer hides secrets in whole lines on their way to w.
func (s secrets) writer(w io.Writer) io.Writer {
	if len(s) == 0 {
		return w
	}
	return hidingWriter{s.replacer(), w}
}

type hidingWriter struct {
	replacer *strings.Replacer
	to       io.Writer
}

// Write implements io.Writer for a whole line.
func (h hidingWriter) Write(line []byte) (int, error) {
	if _, err := h.replacer.WriteString(h.to, string(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}
