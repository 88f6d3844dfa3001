// Package keys is the domain of the gate: users, apps, credentials and
// collaborators, the changes of them ([Tx]) with the audit log, and the [Store]
// that keeps them.
package keys
