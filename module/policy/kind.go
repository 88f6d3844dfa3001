package policy

import (
	"fmt"
	"strings"
)

// Kind is the kind of credential that a client presented. It comes from the
// stored record, never from the text of the credential.
type Kind uint8

// The kinds of credential.
const (
	// AppKey is tied to one user and one app.
	AppKey Kind = iota + 1
	// PAT is a personal access token: it acts as its user, on every app the
	// user owns or collaborates on.
	PAT
	// Session is created by a login. It grants all scopes.
	Session
)

var kindNames = [...]string{AppKey: "app_key", PAT: "pat", Session: "session"}

// Kinds returns every kind in the documented order.
func Kinds() []Kind { return []Kind{AppKey, PAT, Session} }

// String returns the name used in configuration, headers and JSON.
func (k Kind) String() string {
	if k >= AppKey && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ParseKind is the inverse of [Kind.String].
func ParseKind(name string) (Kind, error) {
	for _, k := range Kinds() {
		if kindNames[k] == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown kind of credential %q: use app_key, pat or session", name)
}

// Accept is who may call a route: a set of kinds, everyone without a credential
// (public), or nobody (none).
type Accept uint8

// AcceptPublic requires no credential. AcceptNone refuses every kind: the route
// is known but closed.
const (
	AcceptNone   Accept = 0
	AcceptPublic Accept = 1 << 7
)

// AcceptAny is every kind, the default of a route.
const AcceptAny = Accept(1<<AppKey | 1<<PAT | 1<<Session)

// ParseAccept reads the words of an accept line. No words mean [AcceptAny];
// public and none each stand alone.
func ParseAccept(words []string) (Accept, error) {
	if len(words) == 0 {
		return AcceptAny, nil
	}
	var a Accept
	for _, w := range words {
		if w == "public" || w == "none" {
			if len(words) > 1 {
				return 0, fmt.Errorf("accept %s stands alone, found %q", w, strings.Join(words, " "))
			}
			if w == "public" {
				return AcceptPublic, nil
			}
			return AcceptNone, nil
		}
		k, err := ParseKind(w)
		if err != nil {
			return 0, fmt.Errorf("accept takes app_key, pat, session, or public or none alone, found %q", w)
		}
		if a.Kind(k) {
			return 0, fmt.Errorf("accept names %s twice", w)
		}
		a |= 1 << k
	}
	return a, nil
}

// Public reports whether no credential is required.
func (a Accept) Public() bool { return a&AcceptPublic != 0 }

// Kind reports whether a credential of kind k may call.
func (a Accept) Kind(k Kind) bool { return a&(1<<k) != 0 }

// Words returns the words that [ParseAccept] reads as a.
func (a Accept) Words() []string {
	switch {
	case a.Public():
		return []string{"public"}
	case a == AcceptNone:
		return []string{"none"}
	}
	var words []string
	for _, k := range Kinds() {
		if a.Kind(k) {
			words = append(words, k.String())
		}
	}
	return words
}
