package manage

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// Error is a refusal: the mistake in a request, and the remedy.
type Error struct {
	Code Code
	// Field is the wrong field of the body, such as keys[2].scopes, or empty if
	// the mistake is elsewhere.
	Field string
	// Details describes the mistake and the remedy.
	Details string
	// MissingScopes are the scopes that have to be granted too.
	MissingScopes []string

	// Cause is only for the log.
	Cause error

	// untold are the details without values, if Details repeats a value.
	untold string

	allow []string
	// retryAfter is when to try again, in seconds.
	retryAfter string
}

// Error returns the field and the details.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Details
	}
	return e.Field + ": " + e.Details
}

func refuse(code Code, field, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Details: fmt.Sprintf(format, args...)}
}

// locate adds the path of an element of the body to an error from below.
func locate(element string, err error) error {
	var e *Error
	var invalid *keys.InvalidError
	var password *signin.PasswordError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.As(err, &invalid):
		return refuse(CodeInvalid, join(element, invalid.Field), "%s", invalid.Reason)
	case errors.As(err, &password):
		return refuse(CodeInvalid, join(element, "password"), "%s", password.Reason)
	case errors.Is(err, keys.ErrLimit):
		return refuse(CodeLimit, element, "%s; revoke or delete unused ones, or ask the operator of the service for more", strings.TrimPrefix(err.Error(), keys.ErrLimit.Error()+": "))
	case errors.Is(err, keys.ErrDeleting):
		return refuse(CodeConflict, join(element, "id"), "%s", keys.ErrDeleting)
	case errors.Is(err, keys.ErrRevoked):
		return refuse(CodeExists, element, "%s", keys.ErrRevoked)
	case errors.Is(err, keys.ErrExists):
		exists := "it exists already"
		if strings.HasPrefix(element, "user") { // user IDs are never used again
			exists += ", or did"
		}
		return refuse(CodeExists, join(element, "id"), "%s; choose another, or leave it out to have one generated", exists)
	}
	return err
}

func join(element, field string) string {
	if element == "" {
		return field
	}
	return element + "." + field
}

// refusal turns any error into an answer. The causes of internal failures stay out
// of the answer and go to the log.
func refusal(err error) *Error {
	err = locate("", err)
	var e *Error
	var clock *keys.ClockError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &clock):
		return &Error{Code: CodeUnavailable, Details: clock.Error(), Cause: err}
	case errors.Is(err, directory.ErrCrowded):
		e := refuse(CodeThrottled, "", "%s", directory.ErrCrowded)
		e.retryAfter = "1"
		return e
	case errors.Is(err, keys.ErrTooManyWrites):
		return refuse(CodeTooLarge, "", "the request is more than the key store can change at once, so nothing was changed; send it in several requests")
	case errors.Is(err, signin.ErrBusy):
		return refuse(CodeUnavailable, "", "%v; try again", signin.ErrBusy)
	case errors.Is(err, keys.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: CodeUnavailable, Details: "the key store can't answer now; try again, and if that fails too, see the server's log", Cause: err}
	default:
		return &Error{Code: CodeStore, Details: "the key store failed and nothing was changed; see the server's log", Cause: err}
	}
}

// ours matches texts of the form of our own credentials.
var ours = regexp.MustCompile(`[a-z0-9]{1,10}[kps]_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}`)

// withoutCredentials redacts every credential of our form in a text. Otherwise a
// client that sent a credential as an ID, a scope or the name of a field would find
// it repeated in the error, and so in its own logs.
func withoutCredentials(text string) string {
	if !strings.Contains(text, "_") {
		return text
	}
	return ours.ReplaceAllStringFunc(text, credential.Redact)
}
