// Package decisions tests what a running gate allows and refuses, the answers
// that it gives, and how the log, mode shadow and explain tell it.
package decisions
