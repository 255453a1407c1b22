package slack

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/incidents"
)

// errGone says that the message that a thread began with is not there any more.
var errGone = errors.New("the incident's message is gone from Slack")

// Error is Slack's own word for what it did not do.
type Error struct {
	Code  string // as in Slack's documentation of the method
	text  string
	after time.Duration
}

// Error says what was refused, and what to do about it where that is known.
func (e *Error) Error() string { return e.text }

// RetryAfter is how long Slack wants to be left alone, or 0 if it did not say.
func (e *Error) RetryAfter() time.Duration { return e.after }

// uneditable says that a message is there and may not be changed.
func (e *Error) uneditable() bool {
	return slices.Contains([]string{"cant_update_message", "edit_window_closed", "is_inactive", "block_mismatch", "update_failed"}, e.Code)
}

// refused is the error for an answer that is not ok. Only what is wrong with the message itself is permanent: a token, a channel or
// a permission that is wrong is mended by people, and no message is thrown away until then.
func (s *Slack) refused(method string, a *answer, after time.Duration) error {
	e := &Error{Code: a.Code, after: after, text: fmt.Sprintf("%s: Slack refused: %s", method, s.shown(a.Code))}
	if details := s.shown(strings.Join(a.Response.Messages, "; ")); details != "" {
		e.text += " (" + details + ")"
	}
	if do := remedy(a.Code, s.shown(a.Needed)); do != "" {
		e.text += "; " + do
	}
	switch {
	case malformed(a.Code):
		return fmt.Errorf("%w: %w", e, incidents.ErrPermanent)
	case a.Code == "message_not_found" || a.Code == "thread_not_found":
		return fmt.Errorf("%w: %w", e, errGone)
	}
	return e
}

// malformed says that a message is not one that Slack takes, whatever else changes.
func malformed(code string) bool {
	switch code {
	case "msg_too_long", "msg_blocks_too_long", "no_text", "invalid_blocks", "invalid_blocks_format", "invalid_arguments", "invalid_arg_name", "invalid_array_arg",
		"invalid_charset", "invalid_form_data", "invalid_post_type", "invalid_json", "json_not_object", "metadata_too_large", "invalid_metadata_format",
		"invalid_metadata_schema", "markdown_text_conflict":
		return true
	}
	return false
}

// remedy says what people can do about an error, or "".
func remedy(code, scope string) string {
	switch code {
	case "not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type":
		return "put the app's Bot User OAuth Token, which begins with xoxb-, into token_file, and restart klaxon"
	case "missing_scope":
		return fmt.Sprintf("give the app the scope %s and install it into the workspace again", scope)
	case "channel_not_found":
		return "check the channel's id; into a private channel the app has to be invited: /invite @klaxon"
	case "not_in_channel", "no_permission":
		return "invite the app into the channel: /invite @klaxon"
	case "is_archived", "is_inactive":
		return "the channel is archived: bring it back, or name another"
	case "ekm_access_denied", "team_access_not_granted", "access_denied", "accesslimited", "enterprise_is_restricted":
		return "ask an administrator of the workspace to let the app post"
	}
	if strings.HasPrefix(code, "restricted_action") {
		return "the channel does not let the app post messages or replies: ask an administrator of the workspace"
	}
	return ""
}
