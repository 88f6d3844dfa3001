// Package credential has the text form of the credentials that clients present:
// how one is made, recognized, hashed and shortened for display.
package credential
