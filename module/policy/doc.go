// Package policy decides. It holds the vocabulary of the gate (kinds of
// credential, scopes, endpoints, routes) and the pure functions over it: which
// route a request addresses, whose things it names, and what the caller lacks.
//
// Nothing here does I/O, knows Caddy, or keeps a clock. What is expensive
// (parsing patterns, interning names) happens once, when a table or a grant is
// built; what runs for every request is a walk down a trie and a few word
// operations on bit sets, without an allocation.
package policy
