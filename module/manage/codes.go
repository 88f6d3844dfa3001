package manage

import "net/http"

// Code is a status code of the API. The numbers and what they mean are
// Clarifai's, so that programs written for it understand them.
type Code int

// The codes that the gate and the management API answer with.
const (
	CodeOK                 Code = 10000
	CodeLoginFailed        Code = 11002 // the e-mail, the password or the second factor is wrong
	CodeThrottled          Code = 11005 // too many attempts; Retry-After says when to go on
	CodeLimit              Code = 11006 // the user has as many keys or apps as they may
	CodeInsufficientScopes Code = 11007 // the credential doesn't grant what is asked
	CodeKeyInvalid         Code = 11008 // the credential is no good now, or not here
	CodeKeyUnknown         Code = 11009 // there is no such credential, or no longer
	CodeBadFormat          Code = 11100 // the body is not JSON as it should be
	CodeNotFound           Code = 11101 // the path, or what it names, is not there
	CodeInvalid            Code = 11102 // a field is not acceptable
	CodeMethod             Code = 11103 // the path doesn't answer this method
	CodeExists             Code = 40010 // the id is taken, or was
	CodeConflict           Code = 40017 // the record was changed by another meanwhile
	CodeUnavailable        Code = 40031 // the key store can't answer now
	CodeTooLarge           Code = 40033 // the body is too large
	CodeInternal           Code = 98004 // a failure of the program's own
	CodeStore              Code = 98006 // the key store answered with a failure
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
	CodeThrottled:          {http.StatusTooManyRequests, "Too many attempts"},
	CodeLimit:              {http.StatusForbidden, "Limit reached"},
	CodeConflict:           {http.StatusConflict, "Changed meanwhile"},
	CodeUnavailable:        {http.StatusServiceUnavailable, "Service unavailable"},
	CodeTooLarge:           {http.StatusRequestEntityTooLarge, "Request too large"},
	CodeInternal:           {http.StatusInternalServerError, "Internal error"},
	CodeStore:              {http.StatusInternalServerError, "Key store failure"},
}

// HTTP is the HTTP status that the management API answers the code with.
func (c Code) HTTP() int { return codes[c].status }

// Description is the code in words.
func (c Code) Description() string { return codes[c].description }
