// Package shadowlog writes and reads the decisions that a gate of mode shadow
// logs, and sums up what each key was used for.
package shadowlog

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Decision is what a line of shadow mode's log says: the logger is
// http.handlers.api_keys, the level INFO, the message "decided in shadow
// mode", and the fields are these, beside uuid, which finds the request in the
// access log. None of them ever holds a credential.
type Decision struct {
	// Decision is one of the constants below.
	Decision string `json:"decision"`
	// KeyID is the key ID of the credential; empty where none was known.
	KeyID   string `json:"key_id,omitempty"`
	KeyType string `json:"key_type,omitempty"`
	UserID  string `json:"user_id,omitempty"`
	// Enforced is true if the request was refused, as in mode enforce: its
	// target, its framing or its method is refused in every mode.
	Enforced bool `json:"enforced,omitempty"`
	// Method is the request's. Route is the method and pattern of the route
	// that it addressed; empty where it addressed none.
	Method string `json:"method"`
	Route  string `json:"route,omitempty"`
	// Scopes and Endpoints are what the route needs.
	Scopes    []string `json:"scopes,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
	// Step is the one that refuses, by its number in the order of decision.
	// Reason names why, as credential_unknown or scopes.
	Step   int    `json:"step,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Status, Code and Details are of the answer that would have been given.
	Status  int    `json:"status,omitempty"`
	Code    int    `json:"code,omitempty"`
	Details string `json:"details,omitempty"`
	// MissingScopes and MissingEndpoints are what the credential lacks.
	MissingScopes    []string `json:"missing_scopes,omitempty"`
	MissingEndpoints []string `json:"missing_endpoints,omitempty"`
	// NoEndpoint is true if the credential is limited to endpoints, and the
	// route has none.
	NoEndpoint bool `json:"no_endpoint,omitempty"`
}

// What was decided in shadow mode.
const (
	Allow  = "allow"  // a caller's request, forwarded as ever
	Public = "public" // no credential was asked for
	Refuse = "refuse" // forwarded, unless Enforced; it would have been refused
	End    = "end"    // goes on; it would have been ended, by a change or a later message
)

// Logger and Message are the name of the logger and the message of the lines.
const (
	Logger  = "http.handlers.api_keys"
	Message = "decided in shadow mode"
)

// MarshalLogObject makes the fields of the log line.
func (d *Decision) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	text := func(name, value string) {
		if value != "" {
			enc.AddString(name, value)
		}
	}
	number := func(name string, value int) {
		if value != 0 {
			enc.AddInt(name, value)
		}
	}
	list := func(name string, values []string) {
		if len(values) > 0 {
			zap.Strings(name, values).AddTo(enc)
		}
	}
	text("decision", d.Decision)
	text("key_id", d.KeyID)
	text("key_type", d.KeyType)
	text("user_id", d.UserID)
	if d.Enforced {
		enc.AddBool("enforced", true)
	}
	text("method", d.Method)
	text("route", d.Route)
	list("scopes", d.Scopes)
	list("endpoints", d.Endpoints)
	number("step", d.Step)
	text("reason", d.Reason)
	number("status", d.Status)
	number("code", d.Code)
	text("details", d.Details)
	list("missing_scopes", d.MissingScopes)
	list("missing_endpoints", d.MissingEndpoints)
	if d.NoEndpoint {
		enc.AddBool("no_endpoint", true)
	}
	return nil
}
