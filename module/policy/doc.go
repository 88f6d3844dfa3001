// Package policy holds the vocabulary of the gate (kinds of credential, scopes,
// endpoints, routes) and the pure functions that decide with it: which route a
// request addresses, which owner and app it names, and what the caller lacks.
//
// Nothing here does I/O, imports Caddy, or reads a clock. The expensive work
// (parsing patterns, interning names) happens once, when a table or a grant is
// built. Each request costs a walk down a trie and a few word operations on bit
// sets, without an allocation.
package policy
