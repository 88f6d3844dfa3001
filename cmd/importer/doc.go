// Package importer turns the published description of an API into a table of
// scopes and routes: protobuf sources or descriptors with google.api.http
// bindings ([Proto]), OpenAPI 3.1 and 3.0 and Swagger 2.0 ([OpenAPI]).
//
// A description has more than a table can express, and sometimes less than a
// gate needs. In doubt, the result is closed rather than open:
//
//   - An operation that states no demand is written, and refused to everyone
//     ([Shared.Unstated] says otherwise).
//   - Of alternatives (this scope or that one) all are demanded.
//   - Two operations of one method and shape become one route that demands
//     what both do.
//   - What can't be said at all is left out, and so not found.
//
// There is one exception: if a request can name owner and app in places that a
// table can't express, the other places are checked.
//
// Each of these is reported as a [Warning] with its place. The text
// ([Result.Text]) is sorted and has no lines or dates of the source in it, so
// that importing again after a change shows exactly what changed.
//
// Descriptions are untrusted. They are read within the limits below. Only
// names, paths and comments of them reach the text, cleaned of everything that
// could be read as syntax.
package importer

// Limits on a description. They leave room for the largest that are published
// (GitHub's OpenAPI document has 13 MiB); what goes over is refused before it
// can take much time or memory.
const (
	// MaxSource bounds the bytes read: all sources together, or the one
	// document.
	MaxSource = 32 << 20
	// MaxFiles bounds the files of a protobuf description, imports included.
	MaxFiles = 2000
	// MaxTokens bounds the words and signs of protobuf sources.
	MaxTokens = 1_000_000
	// MaxLineLength bounds the lines of protobuf sources: the compiler counts
	// columns from the beginning of the line, for everything in it.
	MaxLineLength = 4 << 10
	// MaxElements bounds the messages, fields, enums and methods of a protobuf
	// description, and MaxName their full names.
	MaxElements = 200_000
	MaxName     = 512
	// MaxDepth bounds how deep anything in it may be nested.
	MaxDepth = 64
	// MaxNodes bounds the values of an OpenAPI document, and how many are
	// looked at: aliases and references lead to one again and again.
	MaxNodes = 2_000_000
	// MaxRoutes bounds the routes that come out, and the operations behind
	// them.
	MaxRoutes = 50_000
	// MaxText bounds what they need to be written: few scopes on many routes
	// multiply.
	MaxText = 32 << 20
	// MaxPattern bounds the pattern of one route.
	MaxPattern = 2000
	// MaxOwnerDepth bounds how many messages inside of each other lead to one
	// that names owner and app, and MaxOwnerPaths the ways to look along in a
	// type of request: messages may contain themselves. What lies beyond is
	// not checked, and a [Warning] says so. (Clarifai's are 3 deep.)
	MaxOwnerDepth = 8
	MaxOwnerPaths = 200
)

// The variables that name the owner and the app in a table (the defaults of
// the directive owner).
const (
	ownerVariable = "user_id"
	appVariable   = "app_id"
)
