// Package operation tests what an operator meets: reloads, a store that fails,
// and warnings about configurations that would leak or mislead.
package operation
