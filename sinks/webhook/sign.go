package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// SignatureHeader is the header that carries the signature: t=<Unix seconds>,v1=<hexadecimal>, with one v1 for every valid key.
const SignatureHeader = "Klaxon-Signature"

// Tolerance is how old a signature may be: long enough for slow networks and clocks that differ, and too short to use again what
// somebody recorded.
const Tolerance = 5 * time.Minute

// maxSignatures bounds how many signatures of a header are looked at.
const maxSignatures = 8

// Errors of Verify.
var (
	ErrSignature = errors.New("the signature is not klaxon's")
	ErrExpired   = errors.New("the signature is too old, or the clocks differ")
)

// Sign makes the value of SignatureHeader for a body: HMAC-SHA256 over the time, a full stop and the body, by each secret.
func Sign(body []byte, at time.Time, secrets ...string) string {
	t := strconv.FormatInt(at.Unix(), 10)
	value := "t=" + t
	for _, secret := range secrets {
		value += ",v1=" + hex.EncodeToString(mac(secret, t, body))
	}
	return value
}

// Verify is for receivers: it says whether a request is klaxon's. Header is the value of SignatureHeader, body the request's bytes
// before anything decoded them, now the receiver's time. It gives ErrSignature or ErrExpired.
//
//	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
//	…
//	if err := webhook.Verify(r.Header.Get(webhook.SignatureHeader), body, secret, time.Now()); err != nil {
//		http.Error(w, "not signed", http.StatusUnauthorized)
//		return
//	}
//
// A receiver that has acted upon an Idempotency-Key answers it with 200 from then on: a message may come twice.
func Verify(header string, body []byte, secret string, now time.Time) error {
	at, signatures, ok := parse(header)
	if !ok || secret == "" {
		return ErrSignature
	}
	want := mac(secret, at, body)
	good := false
	for _, s := range signatures {
		got, err := hex.DecodeString(s)
		good = good || err == nil && hmac.Equal(got, want)
	}
	if !good {
		return ErrSignature
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return ErrExpired
	}
	return nil
}

// parse reads the header. Schemes that it does not know are for others.
func parse(header string) (at string, signatures []string, ok bool) {
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case name == "t" && at == "":
			at = value
		case name == "v1" && len(signatures) < maxSignatures:
			signatures = append(signatures, value)
		}
	}
	return at, signatures, at != "" && len(signatures) > 0
}

func mac(secret, at string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(at))
	h.Write([]byte{'.'})
	h.Write(body)
	return h.Sum(nil)
}
