package webhook_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/sinks/webhook"
)

// The handler is the one of docs/webhook.md; TestGoInDocs compares them.
func ExampleVerify() {
	const secret = "correct horse battery"
	http.HandleFunc("POST /klaxon", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "cannot read the body", http.StatusBadRequest)
			return
		}
		if err := webhook.Verify(r.Header.Get(webhook.SignatureHeader), body, secret, time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})

	s := httptest.NewServer(http.DefaultServeMux)
	defer s.Close()
	for _, key := range []string{secret, "another"} {
		r, err := http.NewRequest(http.MethodPost, s.URL+"/klaxon", strings.NewReader("{}"))
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header.Set(webhook.SignatureHeader, webhook.Sign([]byte("{}"), time.Now(), key))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	// Output:
	// 204
	// 401
}
