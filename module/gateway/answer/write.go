package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// Form is the form in which a site answers.
type Form string

// The forms of an answer. gRPC clients are answered in gRPC's own.
const (
	Clarifai Form = "clarifai" // the status object of Clarifai's API
	Problem  Form = "problem"  // RFC 9457
	Caddy    Form = "caddy"    // an error for Caddy's error routes
)

// ParseForm returns the form of a name, Clarifai for an empty one.
func ParseForm(name string) (Form, error) {
	switch f := Form(name); f {
	case "":
		return Clarifai, nil
	case Clarifai, Problem, Caddy:
		return f, nil
	}
	return "", fmt.Errorf("errors %q: use clarifai, problem or caddy", name)
}

// Write answers a request. reqID is what the logs call it. The form Caddy
// writes nothing but headers: it returns the error for Caddy to answer.
func (a *Answer) Write(w http.ResponseWriter, r *http.Request, form Form, reqID string) error {
	a.writeHeader(w.Header(), r)
	// A gRPC call is a POST. Clients that use another method look at the HTTP
	// status.
	if wire.IsGRPC(r) && r.Method == http.MethodPost {
		a.writeGRPC(w, r, reqID)
		return nil
	}
	switch form {
	case Caddy:
		return caddyhttp.Error(a.Status, errors.New(a.Details))
	case Problem:
		return writeJSON(w, a.Status, "application/problem+json", &problem{
			Type: "about:blank", Title: http.StatusText(a.Status), Status: a.Status,
			Detail: a.Details, Code: a.Code, ReqID: reqID,
			MissingScopes: a.Lack.Scopes, MissingEndpoints: a.Lack.Endpoints,
		})
	default:
		return writeJSON(w, a.Status, "application/json", &statusAnswer{manage.Status{
			Code: a.Code, Description: a.Code.Description(), Details: a.Details, ReqID: reqID,
			MissingScopes: a.Lack.Scopes, MissingEndpoints: a.Lack.Endpoints,
		}})
	}
}

// writeHeader sets the headers that every form has.
func (a *Answer) writeHeader(h http.Header, r *http.Request) {
	h.Set("Cache-Control", "no-store")
	switch {
	case a.challenge == "-":
		h.Set("WWW-Authenticate", `Bearer realm="api"`)
	case a.Scope != "":
		h.Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="api", error=%q, scope=%q`, a.challenge, a.Scope))
	case a.challenge != "":
		h.Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="api", error=%q`, a.challenge))
	}
	if a.Allow != nil {
		h.Set("Allow", strings.Join(a.Allow, ", "))
	}
	switch {
	case a.After > 0:
		h.Set("Retry-After", strconv.FormatInt(a.After, 10))
	case a.Status == http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	closes := wire.InChunks(r) // which nobody may have looked at
	switch a.Status {
	case http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		// What else is on this connection may not be what it seems, or is a
		// body that the server would wait for before it answers.
		closes = r.ProtoMajor == 1
	}
	if closes {
		h.Set("Connection", "close")
	}
}

// statusAnswer is the answer that has the status object of Clarifai's API.
type statusAnswer struct {
	Status manage.Status `json:"status"`
}

// problem is that of RFC 9457, with our own members beside.
type problem struct {
	Type             string      `json:"type"`
	Title            string      `json:"title"`
	Status           int         `json:"status"`
	Detail           string      `json:"detail"`
	Code             manage.Code `json:"code"`
	ReqID            string      `json:"req_id"`
	MissingScopes    []string    `json:"missing_scopes,omitempty"`
	MissingEndpoints []string    `json:"missing_endpoints,omitempty"`
}

// writeJSON writes an answer with a body.
func writeJSON(w http.ResponseWriter, code int, contentType string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	// A client that has gone away needs no answer.
	_, _ = w.Write(text)
	return nil
}
