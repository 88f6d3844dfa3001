package portal

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// maxLeaked is how many credentials can be pasted at once. The API takes more.
const maxLeaked = 100

// leakedForm asks for leaked credentials. It is never filled in: a page must not
// show a credential again.
type leakedForm struct {
	Problem *manage.Status
}

func (v *visit) askLeaked() error {
	return v.showLeakedForm(http.StatusOK, nil)
}

func (v *visit) showLeakedForm(status int, wrong *manage.Status) error {
	v.section = "keys"
	return v.show(status, "leaked", "A key has leaked", leakedForm{wrong})
}

// leaked looks pasted credentials up, and revokes them at the second step.
func (v *visit) leaked() error {
	if v.lastStep() {
		return v.revokeLeaked()
	}
	pasted := pastedIn(v.r.PostForm.Get("credentials"))
	switch {
	case len(pasted) == 0:
		return v.showLeakedForm(http.StatusBadRequest, &manage.Status{Field: "credentials", Details: "Paste the whole key."})
	case len(pasted) > maxLeaked:
		return v.showLeakedForm(http.StatusBadRequest, &manage.Status{
			Field: "credentials", Details: fmt.Sprintf("These are %d. Paste at most %d at once.", len(pasted), maxLeaked),
		})
	}
	page, err := v.lookUpLeaked(pasted)
	if no, ok := problems(err); ok {
		return v.showLeakedForm(no.Code.HTTP(), no)
	}
	if err != nil {
		return err
	}
	v.section = "keys"
	return v.show(http.StatusOK, "leakedfound", "What has leaked", page)
}

// pastedText is a credential in a pasted text.
type pastedText struct {
	line int
	text string
}

// minted matches credentials that were minted here, in a text around them.
var minted = regexp.MustCompile(`[a-z0-9]{1,10}[kps]_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}`)

// pastedIn returns the credentials in a pasted text, such as a line of a log. A
// line without one of our own form is a credential itself, from elsewhere.
func pastedIn(text string) (list []pastedText) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		found := minted.FindAllString(line, -1)
		if len(found) == 0 && line != "" {
			found = []string{line}
		}
		for _, one := range found {
			list = append(list, pastedText{i + 1, one})
		}
	}
	return list
}

// leakedPage tells whose the pasted credentials are, and asks for confirmation to
// revoke them.
type leakedPage struct {
	Found []leakedKey
	// Before are the key IDs of those that were revoked before.
	Before []string
	// Unknown are the lines of those that aren't the user's.
	Unknown []int
	// Current is true if the session of this visit was pasted.
	Current bool
}

// leakedKey is a leaked credential, with what was made and added with it.
type leakedKey struct {
	manage.Key
	Made  []manage.Key
	Added []manage.Collaborator
	// More is how many more keys were made with it.
	More int
}

// Session reports whether the credential is a session, which isn't a key.
func (k *leakedKey) Session() bool { return k.Type == manage.TypeSession }

// lookUpLeaked asks the API what a revocation of the credentials would revoke.
func (v *visit) lookUpLeaked(pasted []pastedText) (*leakedPage, error) {
	page := &leakedPage{}
	var texts []string
	var lines []int
	for _, p := range pasted {
		if p.text == v.session {
			page.Current = true
			continue
		}
		texts, lines = append(texts, p.text), append(lines, p.line)
	}
	if len(texts) == 0 {
		return page, nil
	}
	a, err := v.do(http.MethodPost, mine("keys", "revoke"), map[string]any{"credentials": texts, "dry_run": true})
	if err != nil {
		return nil, err
	}
	page.Before = a.AlreadyRevoked
	for _, u := range a.Unknown {
		page.Unknown = append(page.Unknown, lines[u.Index])
	}
	page.Unknown = slices.Compact(page.Unknown)
	for _, k := range a.Keys {
		found := leakedKey{Key: k}
		if err := v.readMade(&found); err != nil {
			return nil, err
		}
		page.Found = append(page.Found, found)
	}
	return page, nil
}

// maxMade is how many keys are named that were made with a leaked one.
const maxMade = 20

func (v *visit) readMade(k *leakedKey) error {
	a, err := v.do(http.MethodPost, mine("keys", "revoke"), map[string]any{"minted_by": k.KeyID, "dry_run": true})
	if err != nil {
		return err
	}
	k.Made, k.Added = a.Keys[:min(len(a.Keys), maxMade)], a.RemovedCollaborators
	if a.Count != nil {
		k.More = *a.Count - len(k.Made)
	}
	return nil
}

// revokeLeaked revokes leaked credentials, and then what was made and added with
// them: by then they can make nothing more. The form names them by key ID alone.
func (v *visit) revokeLeaked() error {
	keyIDs, sessions := idsIn(v.r.PostForm["key"]), idsIn(v.r.PostForm["session"])
	if len(keyIDs)+len(sessions) == 0 {
		return v.goTo("/leaked", "none-selected")
	}
	if len(keyIDs) > 0 {
		if _, err := v.do(http.MethodPost, mine("keys", "revoke"), map[string]any{"credentials": keyIDs}); err != nil {
			return v.leftOver(err)
		}
	}
	if len(sessions) > 0 {
		if _, err := v.do(http.MethodDelete, mine("sessions"), map[string]any{"ids": sessions}); err != nil {
			return v.leftOver(err)
		}
	}
	for _, id := range slices.Concat(keyIDs, sessions) {
		if _, err := v.do(http.MethodPost, mine("keys", "revoke"), map[string]any{"minted_by": id}); err != nil {
			return v.leftOver(err)
		}
	}
	http.Redirect(v.w, v.r, v.portal.base+"/leaked/done?"+url.Values{"key": keyIDs, "session": sessions}.Encode(), http.StatusSeeOther)
	return nil
}

// leftOver answers that not all of the leaked credentials are revoked.
func (v *visit) leftOver(err error) error {
	status := http.StatusServiceUnavailable
	if no, ok := errors.AsType[*refused](err); ok {
		status = no.Code.HTTP()
	} else {
		v.portal.failed(v.r, err)
	}
	v.refuse(status, "Not everything is revoked", "The server failed in the middle. Paste the key again, and revoke the rest: what is revoked already stays revoked.")
	return nil
}

// idsIn keeps the key IDs of a form, so that nothing else gets into an address.
func idsIn(list []string) (ids []string) {
	for _, id := range list {
		if credential.IsKeyID(id) {
			ids = append(ids, id)
		}
	}
	return ids[:min(len(ids), maxLeaked)]
}
