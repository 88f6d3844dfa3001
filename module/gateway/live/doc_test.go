// Package live tests that live requests end with their credential, in whatever
// protocol and kind they are, and that other requests go on.
package live
