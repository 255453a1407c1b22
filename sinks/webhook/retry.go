package webhook

import (
	"net/http"
	"strconv"
	"time"
)

// RetryError is a failure that may pass.
type RetryError struct {
	text  string
	after time.Duration
}

// Error says what happened.
func (e *RetryError) Error() string { return e.text }

// RetryAfter is how long the receiver wants to be left alone, or 0 if it did not say.
func (e *RetryError) RetryAfter() time.Duration { return e.after }

// retryAfter reads the header of that name, which is a number of seconds or a date. What cannot be read says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return min(at.Sub(now), maxRetryAfter)
	}
	return 0
}
