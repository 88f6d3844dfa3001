package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
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
	// maxUsed is how many credentials of a kind a load sends in turn.
	maxUsed = 10_000
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
	// count is how many keys the stores have.
	count int
	// used are the credentials that loads send.
	used map[holder][]key
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

// newKeyring mints keys and writes them to files in a folder: seven of ten are
// app keys, and of the other kinds one of ten each.
func newKeyring(folder string, count int) (*keyring, error) {
	k := &keyring{count: count, used: map[holder][]key{}, imported: folder + "/keys.csv", known: folder + "/known.txt"}
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
	table, list := bufio.NewWriter(imported), bufio.NewWriter(known)
	k.mint(table, list)
	for _, w := range []*bufio.Writer{table, list} {
		if err := w.Flush(); err != nil {
			return nil, fmt.Errorf("writing the keys: %w", err)
		}
	}
	return k, nil
}

// mint makes the keys. Its writers keep their errors.
func (k *keyring) mint(imported, known io.Writer) {
	fmt.Fprintln(imported, "credential,user,app,type,scopes")
	for i := range k.count {
		n := i / 10
		app, shared := owner(n%k.apps()), n%k.collaborated()
		switch i % 10 {
		case 7:
			k.add(imported, tokens, policy.PAT, app, app)
		case 8:
			k.add(imported, collaborators, policy.PAT, owner(shared), collaborator(shared))
		case 9:
			k.add(imported, unscoped, policy.AppKey, app, app)
		default:
			k.add(imported, appKeys, policy.AppKey, app, app)
		}
	}
	for _, h := range []holder{appKeys, tokens, collaborators} {
		for _, key := range k.used[h] {
			fmt.Fprintln(known, key.text, key.owner)
		}
	}
	for i := range max(1, min(k.count/10, maxUsed)) {
		text, _ := credential.Mint(credential.DefaultBrand, policy.AppKey)
		k.used[unknown] = append(k.used[unknown], key{text: text, owner: owner(i % k.apps())})
	}
	for _, list := range k.used {
		// Neighbours in a store are no neighbours in a load.
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] }) //nolint:gosec // no secret
	}
}

// add mints a key of a user for the app of an owner, and writes it down for the
// import.
func (k *keyring) add(imported io.Writer, h holder, kind policy.Kind, owner, user string) {
	text, _ := credential.Mint(credential.DefaultBrand, kind)
	if len(k.used[h]) < maxUsed {
		k.used[h] = append(k.used[h], key{text: text, owner: owner})
	}
	app, kindName, scopes := "", migrate.PAT, enough
	if kind == policy.AppKey {
		app, kindName = appID, migrate.AppKey
	}
	if h == unscoped {
		scopes = tooFew
	}
	fmt.Fprintln(imported, strings.Join([]string{text, user, app, kindName, scopes}, ","))
}
