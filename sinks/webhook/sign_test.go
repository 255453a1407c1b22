package webhook

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestSignKnown holds the format: the value was computed with openssl dgst -sha256 -hmac.
func TestSignKnown(t *testing.T) {
	got := Sign([]byte(`{"a":1}`), time.Unix(1795485638, 0), "s3cret")
	if want := "t=1795485638,v1=128c2d036982f775fed05fbd6ff9c5f4d5896acd45af0813dc25cd2903113fea"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVerify(t *testing.T) {
	at := time.Unix(1795485638, 0)
	body := []byte(`{"specversion":"1.0"}`)
	good := Sign(body, at, "new", "old")
	for _, c := range []struct {
		name, header, body, secret string
		now                        time.Time
		want                       error
	}{
		{"the first key", good, string(body), "new", at, nil},
		{"the second key", good, string(body), "old", at, nil},
		{"blanks and schemes to come", "v2=abc, " + strings.ReplaceAll(good, ",", ", "), string(body), "new", at, nil},
		{"late", good, string(body), "new", at.Add(Tolerance), nil},
		{"a clock behind", good, string(body), "new", at.Add(-Tolerance), nil},

		{"too late", good, string(body), "new", at.Add(Tolerance + time.Second), ErrExpired},
		{"from the future", good, string(body), "new", at.Add(-Tolerance - time.Second), ErrExpired},
		{"another secret", good, string(body), "other", at, ErrSignature},
		{"no secret", Sign(body, at, ""), string(body), "", at, ErrSignature},
		{"another body", good, string(body) + " ", "new", at, ErrSignature},
		{"another time", strings.Replace(good, "t=1", "t=2", 1), string(body), "new", at, ErrSignature},
		{"a second time first", "t=1795485000," + good, string(body), "new", at, ErrSignature},
		{"no header", "", string(body), "new", at, ErrSignature},
		{"no time", strings.TrimPrefix(good, "t=1795485638,"), string(body), "new", at, ErrSignature},
		{"no signature", "t=1795485638", string(body), "new", at, ErrSignature},
		{"no hexadecimal", "t=1795485638,v1=zz", string(body), "new", at, ErrSignature},
		{"too many signatures", "t=1795485638" + strings.Repeat(",v1=00", maxSignatures) + good[len("t=1795485638"):], string(body), "new", at, ErrSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Verify(c.header, []byte(c.body), c.secret, c.now); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("t=1,v1=00", "{}", "secret")
	f.Add(Sign([]byte("x"), time.Unix(1, 0), "a", "b"), "x", "a")
	f.Add("t=,v1=,=,,", "", "")
	f.Fuzz(func(t *testing.T, header, body, secret string) {
		now := time.Unix(1, 0)
		own := Sign([]byte(body), now, secret)
		if err := Verify(own, []byte(body), secret, now); (err == nil) != (secret != "") {
			t.Errorf("our own signature %q by %q: %v", own, secret, err)
		}
		at, _, _ := parse(header)
		if Verify(header, []byte(body), secret, now) == nil && !strings.Contains(strings.ToLower(header), hex.EncodeToString(mac(secret, at, []byte(body)))) {
			t.Errorf("%q passes for %q by %q", header, body, secret)
		}
	})
}
