package boltstore

// Observer is told what a store does by itself, which no call returns. Its
// methods must not call the store.
type Observer interface {
	// Upgraded is called when the file was brought to the current format. before
	// is the format that it had, and kept leads to the copy of it.
	Upgraded(before int, kept string)
	// CommitFailed is called for every commit that failed. The store answers
	// with errors from now on, until Reopened is called.
	CommitFailed(err error)
	// ReopenFailed is called for every attempt to open the file again that
	// failed. The next one follows within ten seconds.
	ReopenFailed(err error)
	// Reopened is called when the file was opened again and checked.
	Reopened()
}

// unobserved is the observer of a store that has none.
type unobserved struct{}

func (unobserved) Upgraded(int, string) {}
func (unobserved) CommitFailed(error)   {}
func (unobserved) ReopenFailed(error)   {}
func (unobserved) Reopened()            {}
