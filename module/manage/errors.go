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

// Error is a refusal: what is wrong with a request, and what to do about it.
type Error struct {
	Code Code
	// Field is where the body is wrong, such as keys[2].scopes; empty if it is
	// wrong as a whole.
	Field string
	// Details says what is wrong and what to do.
	Details string
	// MissingScopes are those that have to be granted beside the ones named.
	MissingScopes []string

	// Cause is for the log alone.
	Cause error

	allow []string
	// retryAfter is when to try again, in seconds.
	retryAfter string
}

// Error is the field and the details.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Details
	}
	return e.Field + ": " + e.Details
}

func refuse(code Code, field, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Details: fmt.Sprintf(format, args...)}
}

// locate adds to an error of the domain where in the body the fault is: in the
// field of the element that the error names.
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
		return refuse(CodeLimit, element, "%s; revoke or delete those that are no longer used, or ask the operator of the service for more", strings.TrimPrefix(err.Error(), keys.ErrLimit.Error()+": "))
	case errors.Is(err, keys.ErrDeleting):
		return refuse(CodeConflict, join(element, "id"), "%s", keys.ErrDeleting)
	case errors.Is(err, keys.ErrRevoked):
		return refuse(CodeExists, element, "%s", keys.ErrRevoked)
	case errors.Is(err, keys.ErrExists):
		exists := "it exists already"
		if strings.HasPrefix(element, "user") { // whose ids are never used again
			exists += ", or did"
		}
		return refuse(CodeExists, join(element, "id"), "%s; choose another, or leave it out and one is made up", exists)
	}
	return err
}

func join(element, field string) string {
	if element == "" {
		return field
	}
	return element + "." + field
}

// refusal turns any error into an answer. The causes of failures of our own stay
// out of the answer: they are for the log.
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
		return refuse(CodeTooLarge, "", "it is more than the key store can change at once, and nothing was changed; send it in several requests")
	case errors.Is(err, signin.ErrBusy):
		return refuse(CodeUnavailable, "", "%v; try again", signin.ErrBusy)
	case errors.Is(err, keys.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: CodeUnavailable, Details: "the key store can't answer now; try again, and if it stays so see the server's log", Cause: err}
	default:
		return &Error{Code: CodeStore, Details: "the key store failed, and the server's log says how; nothing was changed", Cause: err}
	}
}

// ours finds what looks like a credential of our form in a text.
var ours = regexp.MustCompile(`[a-z0-9]{1,10}[kps]_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}`)

// withoutCredentials shortens every credential of our form in a text to what
// may be shown. No text is made of credentials; but a client that put one in
// the place of an id, a scope or a field's name would find it repeated in the
// error, and so in its own logs.
func withoutCredentials(text string) string {
	if !strings.Contains(text, "_") {
		return text
	}
	return ours.ReplaceAllStringFunc(text, credential.Redact)
}
