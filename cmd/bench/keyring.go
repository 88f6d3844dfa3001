package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddy-api-keys/gateway/cmd/migrate"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// holder is the kind of credential that a load sends.
type holder string

// The kinds of credentials.
const (
	appKeys       holder = "app key"      // of the addressed app
	tokens        holder = "token"        // personal access token of the app's owner
	collaborators holder = "collaborator" // token of a collaborator on the app
	unscoped      holder = "unscoped"     // app key without the scopes of the requests
	unknown       holder = "unknown"      // of the right form, and in no store
)

const (
	appID = "shop"
	// keysPerOwner is how many app keys an owner has.
	keysPerOwner = 100
	// collaborations is how many apps have a collaborator.
	collaborations = 100
)

// enough are the scopes that the requests of all loads need, and tooFew are some
// of them.
const (
	enough = "Annotations:Add Annotations:Get Apps:Get Concepts:Get Inputs:Add Inputs:Get Models:Get Predict Workflows:Get"
	tooFew = "Apps:Get Models:Get"
)

// key is a credential of a load.
type key struct {
	text string
	// owner is the owner of the app that the requests with the key address.
	owner string
}

// keyring has the credentials of all loads.
type keyring struct {
	// count is how many keys the store has, and limit how many of a kind a load
	// sends.
	count, limit int
	// used are the credentials that loads send.
	used map[holder][]key
	// seen is how many credentials of a kind there are.
	seen map[holder]int
	// imported is a file for "key import", and known has a line for each key
	// that may call: its text and its user.
	imported, known string
}

// apps is how many owners there are, each of whom has an app.
func (k *keyring) apps() int { return max(1, k.count/keysPerOwner) }

// collaborated is how many of the apps have a collaborator.
func (k *keyring) collaborated() int { return min(k.apps(), collaborations) }

func owner(n int) string        { return fmt.Sprintf("owner-%d", n) }
func collaborator(n int) string { return fmt.Sprintf("collaborator-%d", n) }

// minter mints the keys of a keyring. Its writers keep their errors.
type minter struct {
	*keyring
	imported, known *bufio.Writer
}

// newKeyring mints keys and writes them to files in a folder: seven of ten are
// app keys, and of the other kinds one of ten each.
func newKeyring(folder string, count, limit int) (*keyring, error) {
	k := &keyring{
		count: count, limit: limit, used: map[holder][]key{}, seen: map[holder]int{},
		imported: filepath.Join(folder, "keys.csv"), known: filepath.Join(folder, "known.txt"),
	}
	imported, err := os.Create(k.imported)
	if err != nil {
		return nil, fmt.Errorf("writing the keys: %w", err)
	}
	defer imported.Close()
	known, err := os.Create(k.known)
	if err != nil {
		return nil, fmt.Errorf("writing the keys: %w", err)
	}
	defer known.Close()
	m := minter{k, bufio.NewWriter(imported), bufio.NewWriter(known)}
	m.mint()
	if err := errors.Join(m.imported.Flush(), m.known.Flush()); err != nil {
		return nil, fmt.Errorf("writing the keys: %w", err)
	}
	return k, nil
}

// mint makes all keys.
func (m minter) mint() {
	fmt.Fprintln(m.imported, "credential,user,app,type,scopes")
	for i := range m.count {
		n := i / 10
		app, shared := owner(n%m.apps()), n%m.collaborated()
		switch i % 10 {
		case 7:
			m.add(tokens, policy.PAT, app, app)
		case 8:
			m.add(collaborators, policy.PAT, owner(shared), collaborator(shared))
		case 9:
			m.add(unscoped, policy.AppKey, app, app)
		default:
			m.add(appKeys, policy.AppKey, app, app)
		}
	}
	for i := range m.count / 10 {
		text, _ := credential.Mint(credential.DefaultBrand, policy.AppKey)
		m.use(unknown, key{text: text, owner: owner(i % m.apps())})
	}
	for _, list := range m.used {
		// Neighbours in a store are no neighbours in a load.
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] }) //nolint:gosec // no secret
	}
}

// use has the load of a kind send a key. If there are more than the limit, it is
// in the place of a random one: each key is as likely as another.
func (k *keyring) use(h holder, one key) {
	k.seen[h]++
	if len(k.used[h]) < k.limit {
		k.used[h] = append(k.used[h], one)
	} else if i := rand.IntN(k.seen[h]); i < k.limit { //nolint:gosec // no secret
		k.used[h][i] = one
	}
}

// add mints a key of a user for the app of an owner, and writes it down.
func (m minter) add(h holder, kind policy.Kind, owner, user string) {
	text, _ := credential.Mint(credential.DefaultBrand, kind)
	m.use(h, key{text: text, owner: owner})
	app, kindName, scopes := "", migrate.PAT, enough
	if kind == policy.AppKey {
		app, kindName = appID, migrate.AppKey
	}
	if h == unscoped {
		scopes = tooFew
	} else {
		fmt.Fprintln(m.known, text, user)
	}
	fmt.Fprintln(m.imported, strings.Join([]string{text, user, app, kindName, scopes}, ","))
}
