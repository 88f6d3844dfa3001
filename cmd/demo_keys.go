package cmd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// The demo's user, and the mark of the demo's keys.
const (
	demoUser  = "demo"
	demoEmail = "demo@example.com"
	// demoMark begins the description of every key that the demo makes. The next
	// run finds the keys by it.
	demoMark = "caddy api-keys demo: "
)

var demoApps = []string{"photos", "music"}

// demoKeys are the keys that the demo prints.
type demoKeys struct {
	// predicts may read and predict in the app photos; reads may only read there.
	// music may do everything in the app music, and pat may do so in both apps.
	// limited may read in photos once an hour.
	predicts, reads, music, pat, limited manage.Key
	// email and password are for signing in to the portal.
	email, password string
}

// openDemoStore opens the store, and creates a missing one.
func openDemoStore(c *call, path string) (*client, error) {
	store, err := boltstore.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w; if a demo is running already, use that one, or give this one a folder of its own with --data", err)
	}
	d, err := directory.New(store, 0)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	api := &manage.API{
		Directory: d.Directory,
		Brand:     credential.DefaultBrand,
		Failed:    func(_ string, cause error) { c.PrintErrln("The key store failed:", cause) },
	}
	return &client{
		http:    http.Client{Transport: inProcess{api}},
		base:    "http://127.0.0.1",
		where:   path,
		offline: api,
		close:   d.Close,
	}, nil
}

// prepareDemo makes the missing user and apps of the demo, and replaces the keys
// of the last run. It leaves everything else as it is.
func prepareDemo(c *call) (made demoKeys, err error) {
	email, password, err := prepareUser(c)
	if err != nil {
		return made, err
	}
	for _, app := range demoApps {
		if err := prepareApp(c, app); err != nil {
			return made, err
		}
	}
	if err := revokeDemoKeys(c); err != nil {
		return made, err
	}
	reading := []string{"Annotations:Get", "Apps:Get", "Concepts:Get", "Inputs:Get", "Models:Get"}
	everything := []string{"All"}
	limited := demoKey("may read once an hour", reading, "photos")
	limited["limits"] = map[string]string{"rate": "1/h"}
	_, answer, err := c.ask("POST", []string{"users", demoUser, "keys"}, nil, map[string]any{"keys": []any{
		demoKey("may read and predict", append([]string{"Predict"}, reading...), "photos"),
		demoKey("may only read", reading, "photos"),
		demoKey("may do everything in music", everything, "music"),
		demoKey("may do everything everywhere", everything, ""),
		limited,
	}})
	if err != nil {
		return made, err
	}
	k := answer.Keys
	return demoKeys{predicts: k[0], reads: k[1], music: k[2], pat: k[3], limited: k[4], email: email, password: password}, nil
}

// demoKey returns the request to make a key: an app key, or a personal access
// token if app is empty.
func demoKey(purpose string, scopes []string, app string) map[string]any {
	key := map[string]any{"description": demoMark + purpose, "scopes": scopes}
	if app == "" {
		key["type"] = manage.TypePAT
	} else {
		key["apps"] = []any{map[string]string{"id": app}}
	}
	return key
}

// prepareUser makes the user, or gives an existing one a new password, because
// the last run's password is written down nowhere. It also ends a suspension;
// otherwise the printed commands wouldn't work.
func prepareUser(c *call) (email, password string, err error) {
	email, password = demoEmail, strings.ToLower(rand.Text())
	path := []string{"users", demoUser}
	_, answer, err := c.ask("GET", path, nil, nil)
	if err != nil {
		_, _, err = c.ask("POST", path[:1], nil, map[string]any{"users": []any{
			map[string]string{"id": demoUser, "email": email, "password": password},
		}})
		if err != nil {
			err = fmt.Errorf("making the user %s, whose ID can't be used again after a deletion: %w", demoUser, err)
		}
		return email, password, err
	}
	changes := map[string]any{"suspended": false, "password": password}
	if answer.User.Email == "" {
		changes["email"] = email
	} else {
		email = answer.User.Email
	}
	_, _, err = c.ask("PATCH", path, nil, map[string]any{"user": changes})
	return email, password, err
}

// prepareApp makes a missing app. It revokes the key that comes with the app,
// because nobody gets that key.
func prepareApp(c *call, app string) error {
	path := []string{"users", demoUser, "apps", app}
	if _, _, err := c.ask("GET", path, nil, nil); err == nil {
		return nil
	}
	_, answer, err := c.ask("POST", path[:3], nil, map[string]any{"apps": []any{map[string]string{"id": app}}})
	if err != nil {
		return err
	}
	return revokeAll(c, []string{answer.Keys[0].KeyID})
}

// revokeDemoKeys revokes the keys of the last run. It doesn't rotate them,
// because their successors would inherit changes, and some keys may be gone.
func revokeDemoKeys(c *call) error {
	query := url.Values{"per_page": {pageSize}}
	var ids []string
	for {
		_, answer, err := c.ask("GET", []string{"users", demoUser, "keys"}, query, nil)
		if err != nil {
			return err
		}
		for _, k := range answer.Keys {
			if strings.HasPrefix(k.Description, demoMark) {
				ids = append(ids, k.KeyID)
			}
		}
		if answer.Next == "" {
			return revokeAll(c, ids)
		}
		query.Set("after", answer.Next)
	}
}

func revokeAll(c *call, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, _, err := c.ask("DELETE", []string{"users", demoUser, "keys"}, nil, map[string]any{"ids": ids})
	return err
}
