// Package keys is the domain of the gate: users, apps, credentials and
// collaborators, the form of a credential, the [Store] that keeps them, and the
// [Directory] that answers from it.
//
// The Directory is the only writer and the only reader in front of a store. It
// answers from a cache, yet a change has taken effect everywhere when the call
// that made it returns. [Directory.Find] describes how.
package keys
