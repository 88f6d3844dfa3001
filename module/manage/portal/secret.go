package portal

import (
	"net/http"
	"net/url"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// newSecret is a new credential on its way to the page that shows it.
type newSecret struct {
	Title, Note string
	// Secret is the whole credential.
	Secret string
}

// secretPage shows a new credential, only once.
type secretPage struct {
	Key *manage.Key
	App *manage.App
	// Try are programs that use the credential.
	Try snippets
	// Back is the path of the list with the key.
	Back string
	// Note tells what happened to the old key of a rotation.
	Note string
}

// What returns the word for the key: key or token.
func (p secretPage) What() string {
	if p.App == nil {
		return "token"
	}
	return "key"
}

// handOver leads to the page that shows a new credential once.
func (v *visit) handOver(k *manage.Key, title, note string) error {
	return v.showOnce("/keys/"+url.PathEscape(k.KeyID)+"/secret", newSecret{Title: title, Note: note, Secret: k.ID})
}

// showSecret shows a new credential, or explains that it was shown. Then the page
// offers to rotate the key.
func (v *visit) showSecret() error {
	p, err := v.rotatePage()
	if err != nil {
		return err
	}
	var s newSecret
	switch ok, err := v.takeOnce(&s); {
	case err != nil:
		return err
	case !ok:
		return v.show(http.StatusOK, "secretgone", titleOf(p.Key), p)
	}
	k := *p.Key
	k.ID = s.Secret
	page := secretPage{Key: &k, App: p.App, Back: p.Back, Try: v.snippetsOf(&k, p.App), Note: s.Note}
	return v.show(http.StatusOK, "secret", s.Title, page)
}
