//go:build linux

package fleettest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// register is a key that gates make, change and revoke.
type register struct {
	Digest credential.Digest
	ID     string
}

// The versions that are not counted.
const (
	// absent is a key that was not found: it is yet to be made, or revoked.
	absent = -1
	// revoked is later than all others.
	revoked = 1 << versionBits
)

const versionBits = 16

// someUser owns all keys.
const someUser = "alice"

// newRegisters mints keys into a file for all gates.
func newRegisters(file string, n int) ([]register, error) {
	list := make([]register, n)
	for i := range list {
		text, id := credential.Mint(credential.DefaultBrand, policy.PAT)
		list[i] = register{credential.DigestOf(text), id}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return list, os.WriteFile(file, text, 0o600)
}

func readRegisters(file string) (list []register, err error) {
	text, err := os.ReadFile(file) //nolint:gosec // the test's file
	if err != nil {
		return nil, err
	}
	return list, json.Unmarshal(text, &list)
}

// rules has one route for each bit of a version.
var rules = newRules()

func newRules() (list []*policy.Rule) {
	var routes []policy.Route
	for i := range versionBits {
		routes = append(routes, policy.Route{Method: "GET", Pattern: fmt.Sprintf("/b%d", i), Scopes: []string{scopeOf(i)}})
	}
	table, err := policy.NewTable(routes, "", "")
	if err != nil {
		panic(err)
	}
	for _, r := range routes {
		list = append(list, table.Find(r.Method, false, r.Pattern))
	}
	return list
}

func scopeOf(bit int) string { return fmt.Sprintf("F:%c", 'A'+bit) }

// put makes a credential one of a version. Each third one is disabled.
func put(c *keys.Credential, version int) {
	c.Scopes = []string{}
	for bit := range versionBits {
		if version&(1<<bit) != 0 {
			c.Scopes = append(c.Scopes, scopeOf(bit))
		}
	}
	c.Disabled = disabled(version)
}

func disabled(version int) bool { return version%3 == 2 }

// versionOf returns the version of a credential as the store has it.
func versionOf(c *keys.Credential) (version int) {
	for bit := range versionBits {
		for _, s := range c.Scopes {
			if s == scopeOf(bit) {
				version |= 1 << bit
			}
		}
	}
	return version
}

// versionRead returns the version that a decision rests on.
func versionRead(d *directory.Directory, e *directory.Entry) (version int, active bool, err error) {
	if !e.Exists() {
		return absent, false, nil
	}
	for bit, rule := range rules {
		if e.Grant().Permits(rule) {
			version |= 1 << bit
		}
	}
	active = d.Standing(e) == keys.Active
	if active == disabled(version) {
		return version, active, fmt.Errorf("version %d is active: %t", version, active)
	}
	return version, active, nil
}

// next writes the next version of a register, or makes it. It returns the version.
func next(tx *keys.Tx, r register) (version int, err error) {
	_, err = tx.ChangeCredential(r.ID, func(c *keys.Credential) error {
		version = versionOf(c) + 1
		put(c, version)
		return nil
	})
	if !errors.Is(err, keys.ErrNotFound) {
		return version, err
	}
	return 1, create(tx, r)
}

// errThere is the error for a register that was made before.
var errThere = errors.New("the key is there")

// create makes the first version of a register.
func create(tx *keys.Tx, r register) error {
	_, err := tx.ChangeCredential(r.ID, func(*keys.Credential) error { return errThere })
	if !errors.Is(err, keys.ErrNotFound) {
		return err
	}
	c := keys.Credential{Digest: r.Digest, ID: r.ID, Kind: policy.PAT, UserID: someUser}
	put(&c, 1)
	_, err = tx.CreateCredential(c)
	return err
}
