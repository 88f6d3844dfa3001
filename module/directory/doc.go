// Package directory answers who holds a credential, and makes every change of
// the records.
//
// A [Directory] is the only writer and the only reader in front of a store. It
// answers from a cache, yet a change has taken effect everywhere when the call
// that made it returns. [Directory.Find] describes how.
package directory
