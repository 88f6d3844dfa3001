// Package keys is the domain of the gate: users, apps, credentials and
// collaborators, the form of a credential, the [Store] that keeps them, and
// the [Directory] that answers for them.
//
// The Directory is the only writer and the only reader in front of a store. It
// answers from a cache, and yet a change has taken effect everywhere when the
// call that made it returns; how is told at [Directory.Find].
package keys
