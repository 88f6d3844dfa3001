// Package wire reports whether a request has one reading: whether the gate and
// any upstream see the same target, framing, headers and method in it. It knows
// no Caddy, no configuration and no answers: it returns an [Error], and takes
// out of a request what a client may not send.
package wire

// Error is why a request has more than one reading.
type Error string

// Error returns the reason in plain words.
func (e Error) Error() string { return string(e) }

// The reasons that concern the target.
const (
	ErrNotAPath         Error = "the request target has to be a path: it begins with a slash and names no scheme or host"
	ErrSpace            Error = "the request target has a space in it (write it as %20)"
	ErrEscapeCut        Error = "the path ends within an escape"
	ErrPathEscape       Error = "the path has an invalid escape"
	ErrEscapedSlash     Error = "the path has an escaped slash"
	ErrEscapedColon     Error = "the path has an escaped colon"
	ErrEscapedControl   Error = "the path has an escaped control character"
	ErrEscapedDelimiter Error = `the path has an escaped \ % ? ; or #`
	ErrNeedlessEscape   Error = "the path escapes a character that needs no escaping"
	ErrControl          Error = "the path has a control character"
	ErrDelimiter        Error = `the path has a \ or a ;`
	ErrEmptySegment     Error = "the path has an empty segment (//)"
	ErrNotUTF8          Error = "the path is not valid UTF-8"
	ErrLikeSlash        Error = `the path has a character that some read as / or \`
	ErrDotSegment       Error = "the path has a segment that is . or .., or that some read so"
	ErrQuerySemicolon   Error = "the query has a ; (write it as %3B)"
	ErrQueryCharacter   Error = "the query has a #, a space or a control character (escape it)"
	ErrQueryEscape      Error = "the query has an invalid escape"
	ErrQueryReserved    Error = "the query has a name with __proto__ or constructor in it"
)

// The reasons that concern the method, the framing and the headers.
const (
	ErrNotHTTP           Error = "it is no request of HTTP"
	ErrOverride          Error = "a parameter such as _method asks for another method, which has other demands here"
	ErrTransferEncoding  Error = "the transfer encoding is not one that is understood"
	ErrLengths           Error = "the length of the body is given in more than one way"
	ErrLength            Error = "the length of the body is not the one that is given"
	ErrChunks            Error = "the chunks of its body are malformed"
	ErrHost              Error = "the host is more than a name or an address with a port"
	ErrContentTypes      Error = "there is more than one Content-Type"
	ErrLikeGRPC          Error = "the Content-Type resembles those of gRPC, and some upstreams take it for one"
	ErrPadded            Error = "a header's value begins or ends with white space"
	ErrConnectionHeaders Error = "a connection header in a version of HTTP that has none"
	ErrUpgrade           Error = "an upgrade to websocket is a GET without a body, with Connection: Upgrade"
)
