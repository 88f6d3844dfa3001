// Package importer turns the published description of an API into a table of
// scopes and routes: protobuf sources or descriptors with google.api.http
// bindings ([Proto]), OpenAPI 3.1 and 3.0 and Swagger 2.0 ([OpenAPI]).
//
// A description has more than a table can express, and sometimes less than a
// gate needs. In doubt, the result is closed rather than open:
//
//   - An operation that states no demand becomes a route that refuses everyone,
//     unless [Shared.Unstated] says otherwise.
//   - All of several alternatives (this scope or that one) are demanded.
//   - Two operations of one method and shape become one route that demands
//     everything that both demand.
//   - An operation that a table can't express is left out, so its requests are
//     not found.
//
// There is one exception: if a request can name owner and app in places that a
// table can't express, the other places are checked.
//
// Each case is reported as a [Warning] with its place. The text ([Result.Text])
// is sorted, and has no line numbers or dates of the source, so that importing
// again after a change shows exactly what changed.
//
// Descriptions are untrusted. They are read within the limits below. Only their
// names, paths and comments reach the text, without any characters that could be
// read as syntax.
package importer

// Limits on a description. They leave room for the largest published ones
// (GitHub's OpenAPI document has 13 MiB). A description beyond them is refused
// before it takes much time or memory.
const (
	// MaxSource bounds the bytes read: of all sources together, or of the one
	// document.
	MaxSource = 32 << 20
	// MaxFiles bounds the files of a protobuf description, imports included.
	MaxFiles = 2000
	// MaxTokens bounds the words and signs of protobuf sources.
	MaxTokens = 1_000_000
	// MaxLineLength bounds the lines of protobuf sources, because the compiler
	// counts columns from the beginning of the line for everything in it.
	MaxLineLength = 4 << 10
	// MaxElements bounds the messages, fields, enums and methods of a protobuf
	// description, and MaxName their full names.
	MaxElements = 200_000
	MaxName     = 512
	// MaxDepth bounds how deep anything in a description may be nested.
	MaxDepth = 64
	// MaxNodes bounds the values of an OpenAPI document, and how many are visited,
	// because aliases and references can lead to one value many times.
	MaxNodes = 2_000_000
	// MaxRoutes bounds the resulting routes, and the operations behind them.
	MaxRoutes = 50_000
	// MaxText bounds the text of the table, because a few scopes on many routes
	// multiply.
	MaxText = 32 << 20
	// MaxPattern bounds the pattern of one route.
	MaxPattern = 2000
	// MaxOwnerDepth bounds how many nested messages lead to one that names owner
	// and app, and MaxOwnerPaths the paths to follow in a type of request, because
	// messages may contain themselves. Places beyond these limits are not checked,
	// and reported by a [Warning]. (Clarifai's are 3 deep.)
	MaxOwnerDepth = 8
	MaxOwnerPaths = 200
)

// The variables that name the owner and the app in a table (the defaults of
// the directive owner).
const (
	ownerVariable = "user_id"
	appVariable   = "app_id"
)
