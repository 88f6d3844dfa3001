package portal

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// revokePage asks for confirmation before keys are revoked.
type revokePage struct {
	Keys   []manage.Key
	Back   string
	Action string
	// List is the query of the list in which the keys were selected.
	List string
	// Tokens is true if all keys are personal access tokens.
	Tokens bool
	// Makers are the key IDs of the tokens. The keys that they made can be revoked
	// too.
	Makers []string
	// Left is how many keys were found that are too many for one call.
	Left int
}

// mostRevoked is how many keys one call of the API revokes.
const mostRevoked = 1000

// complete fills in what follows from the keys.
func (p *revokePage) complete() {
	if len(p.Keys) > mostRevoked {
		p.Left = len(p.Keys) - mostRevoked
		p.Keys = p.Keys[:mostRevoked]
	}
	for _, k := range p.Keys {
		if k.Type == manage.TypePAT {
			p.Makers = append(p.Makers, k.KeyID)
		}
	}
	p.Tokens = len(p.Makers) == len(p.Keys)
}

func (v *visit) askRevoke() error {
	p, err := v.key()
	if err != nil {
		return err
	}
	page := revokePage{
		Keys: []manage.Key{*p.Key}, Back: "/keys/" + url.PathEscape(p.Key.KeyID),
		Action: "/keys/" + url.PathEscape(p.Key.KeyID) + "/revoke",
	}
	page.complete()
	return v.show(http.StatusOK, "revoke", page.title(), page)
}

// Many reports whether there are several keys.
func (p revokePage) Many() bool { return len(p.Keys) > 1 }

// title returns the question. The page lists the keys below.
func (p revokePage) title() string {
	what := "key"
	if p.Tokens {
		what = "token"
	}
	if p.Many() {
		return fmt.Sprintf("Revoke %d %ss?", len(p.Keys), what)
	}
	return "Revoke this " + what + "?"
}

func (v *visit) revokeKey() error {
	p, err := v.key()
	if err != nil {
		return err
	}
	ids := []string{p.Key.KeyID}
	return v.revoke(ids, ids, p.Back)
}

// revoke revokes keys, and then the keys made with the makers if the form asks for
// that. By then none of them can make another key, and it doesn't matter if one of
// them has made another.
func (v *visit) revoke(ids, makers []string, back string) error {
	if _, err := v.do(http.MethodDelete, mine("keys"), map[string]any{"ids": ids}); err != nil {
		return err
	}
	if v.r.PostForm.Get("minted") != "" {
		for _, id := range makers {
			_, err := v.do(http.MethodPost, mine("keys", "revoke"), map[string]any{"minted_by": id})
			if err != nil {
				return err
			}
		}
	}
	return v.goTo(back, "key-revoked")
}

// revokeSeveral asks for confirmation to revoke the keys selected in a list, and
// revokes them at the second step.
func (v *visit) revokeSeveral() error {
	ids, path := v.r.PostForm["key"], "/tokens"
	if app := v.r.PathValue("app"); app != "" {
		path = "/apps/" + url.PathEscape(app)
	}
	list := listQuery(v.r.PostForm.Get("list"))
	back := path + list
	if len(ids) == 0 {
		return v.goTo(back, "none-selected")
	}
	if v.lastStep() {
		return v.revoke(ids, ids, back)
	}
	page := revokePage{Back: back, Action: path + "/revoke", List: list}
	for _, id := range ids {
		a, err := v.get(mine("keys", id))
		if err != nil {
			return err
		}
		page.Keys = append(page.Keys, *a.Key)
	}
	page.complete()
	return v.show(http.StatusOK, "revoke", page.title(), page)
}
