//go:build !unix

package boltstore

// belongs has nothing to do: files belong to whom their folder does.
func (r *restoring) belongs(string) error { return nil }
