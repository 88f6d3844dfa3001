package manage

import "net/http"

// Code is a status code of the API. The numbers and their meanings are Clarifai's,
// so that programs written for Clarifai understand them.
type Code int

// The codes that the gate and the management API answer with.
const (
	CodeOK                 Code = 10000
	CodeLoginFailed        Code = 11002 // the e-mail, the password or the second factor is wrong
	CodeThrottled          Code = 11005 // too many requests or attempts; wait as long as Retry-After says
	CodeLimit              Code = 11006 // a quota is used up, or the user has as many keys or apps as allowed
	CodeInsufficientScopes Code = 11007 // the credential lacks scopes or endpoints
	CodeKeyInvalid         Code = 11008 // the credential is not valid now, or not here
	CodeKeyUnknown         Code = 11009 // the credential doesn't exist, or was revoked
	CodeBadFormat          Code = 11100 // the body is not the expected JSON
	CodeNotFound           Code = 11101 // the path, or a record that it names, doesn't exist
	CodeInvalid            Code = 11102 // a field is not acceptable
	CodeMethod             Code = 11103 // the path doesn't have this method
	CodeExists             Code = 40010 // the ID is taken, or was
	CodeConflict           Code = 40017 // another caller changed the record
	CodeUnavailable        Code = 40031 // the key store can't answer now
	CodeTooLarge           Code = 40033 // the body is too large
	CodeInternal           Code = 98004 // an internal failure
	CodeStore              Code = 98006 // the key store failed
)

var codes = map[Code]struct {
	status      int
	description string
}{
	CodeOK:                 {http.StatusOK, "Ok"},
	CodeInsufficientScopes: {http.StatusForbidden, "API key has insufficient scopes"},
	CodeKeyInvalid:         {http.StatusForbidden, "API key not valid"},
	CodeKeyUnknown:         {http.StatusUnauthorized, "API key not found"},
	CodeBadFormat:          {http.StatusBadRequest, "Bad request format"},
	CodeNotFound:           {http.StatusNotFound, "Resource does not exist"},
	CodeInvalid:            {http.StatusBadRequest, "Invalid request"},
	CodeMethod:             {http.StatusMethodNotAllowed, "Method not allowed"},
	CodeExists:             {http.StatusConflict, "Resource already exists"},
	CodeLoginFailed:        {http.StatusUnauthorized, "Invalid credentials"},
	CodeThrottled:          {http.StatusTooManyRequests, "Too many requests"},
	CodeLimit:              {http.StatusForbidden, "Limit reached"},
	CodeConflict:           {http.StatusConflict, "Changed meanwhile"},
	CodeUnavailable:        {http.StatusServiceUnavailable, "Service unavailable"},
	CodeTooLarge:           {http.StatusRequestEntityTooLarge, "Request too large"},
	CodeInternal:           {http.StatusInternalServerError, "Internal error"},
	CodeStore:              {http.StatusInternalServerError, "Key store failure"},
}

// HTTP returns the HTTP status that the management API sends with the code.
func (c Code) HTTP() int { return codes[c].status }

// Description returns the code in words.
func (c Code) Description() string { return codes[c].description }
