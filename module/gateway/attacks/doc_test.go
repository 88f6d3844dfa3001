// Package attacks sends requests that are made to get past the gate, those of
// testdata/attacks and others.
package attacks
