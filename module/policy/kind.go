package policy

import (
	"fmt"
	"strings"
)

// Kind says what sort of credential a client presented. It comes from the
// stored record, never from the text of the credential.
type Kind uint8

// The kinds of credential.
const (
	// AppKey is tied to one user and one app.
	AppKey Kind = iota + 1
	// PAT is a personal access token: it acts as its user, on every app the
	// user owns or collaborates on.
	PAT
	// Session is what a login hands out; it grants all scopes.
	Session
)

var kindNames = [...]string{AppKey: "app_key", PAT: "pat", Session: "session"}

// Kinds lists every kind, in the order they are documented.
func Kinds() []Kind { return []Kind{AppKey, PAT, Session} }

// String is the name used in configuration, headers and JSON.
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

// Accept says who may call a route: a set of kinds, or everyone without a
// credential (public), or nobody (none).
type Accept uint8

// AcceptPublic asks for no credential at all. AcceptNone refuses every kind:
// the route is known, and closed.
const (
	AcceptNone   Accept = 0
	AcceptPublic Accept = 1 << 7
)

// AcceptAny is what a route accepts that says nothing: every kind.
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

// Public says that no credential is asked for.
func (a Accept) Public() bool { return a&AcceptPublic != 0 }

// Kind says whether a credential of kind k may call.
func (a Accept) Kind(k Kind) bool { return a&(1<<k) != 0 }

// Words is the inverse of [ParseAccept].
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
