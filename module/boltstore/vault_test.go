package boltstore

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

var operator = keys.Actor{ID: keys.Operator}

// vault is a store as a server has it, with a history: two users, an app, and
// of each kind of credential one.
type vault struct {
	t    *testing.T
	path string
	d    *directory.Owned

	key, pat, session keys.Credential
	collaborator      keys.CollaboratorRef
}

const (
	endpointA = "/p.S/A"
	endpointB = "/p.S/B"
)

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{t: t, path: filepath.Join(t.TempDir(), "keys.db")}
	v.open()
	v.update(func(tx *keys.Tx) error {
		for _, u := range []keys.User{
			{ID: "alice", Email: "alice@example.com", PasswordHash: "$argon2id$old", TwoFactor: signin.TwoFactor{Secret: "OLD", Enabled: true}},
			{ID: "bob"}, {ID: "carol"},
		} {
			if _, err := tx.CreateUser(u); err != nil {
				return err
			}
		}
		shop := keys.AppRef{OwnerID: "alice", AppID: "shop"}
		if _, err := tx.CreateApp(keys.App{AppRef: shop}); err != nil {
			return err
		}
		v.key = v.mint(tx, keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"A", "B"}, Endpoints: []string{endpointA, endpointB}})
		v.pat = v.mint(tx, keys.Credential{Kind: policy.PAT, UserID: "bob", Scopes: []string{policy.ScopeAll}})
		v.session = v.mint(tx, keys.Credential{Kind: policy.Session, UserID: "bob"})
		v.collaborator = keys.CollaboratorRef{AppRef: shop, UserID: "bob"}
		_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: v.collaborator, Scopes: []string{"A", "B"}, Endpoints: []string{endpointA, endpointB}})
		return err
	})
	return v
}

func (v *vault) mint(tx *keys.Tx, c keys.Credential) keys.Credential {
	v.t.Helper()
	text, id := credential.Mint(credential.DefaultBrand, c.Kind)
	c.ID, c.Digest = id, credential.DigestOf(text)
	c, err := tx.CreateCredential(c)
	if err != nil {
		v.t.Fatal(err)
	}
	return c
}

func (v *vault) open() {
	v.t.Helper()
	s, err := Open(v.path)
	if err != nil {
		v.t.Fatal(err)
	}
	if v.d, err = directory.New(s, directory.DefaultCacheBytes); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(v.close)
}

func (v *vault) close() {
	if v.d == nil {
		return
	}
	if err := v.d.Close(); err != nil {
		v.t.Error(err)
	}
	v.d = nil
}

func (v *vault) update(fn func(*keys.Tx) error) {
	v.t.Helper()
	if err := v.d.Update(v.t.Context(), operator, fn); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) view(fn func(keys.Reader) error) {
	v.t.Helper()
	if err := v.d.View(v.t.Context(), fn); err != nil {
		v.t.Fatal(err)
	}
}

// backup makes a backup next to the store.
func (v *vault) backup(name string) string {
	v.t.Helper()
	path := filepath.Join(filepath.Dir(v.path), name)
	if _, err := v.d.Backup(v.t.Context(), path); err != nil {
		v.t.Fatal(err)
	}
	return path
}

// restore closes the store, restores it, and opens it again.
func (v *vault) restore(backup string) Report {
	v.t.Helper()
	return v.restoreAs(backup, false)
}

// restoreAccepting is restore where only who accepts lost revocations gets the
// backup.
func (v *vault) restoreAccepting(backup string) Report {
	v.t.Helper()
	v.close()
	refusedRestore(v.t, backup, v.path, false, "--accept-lost-revocations")
	v.open()
	report := v.restoreAs(backup, true)
	if report.LostRevocations == "" {
		v.t.Error("the report doesn't say that revocations may be lost")
	}
	return report
}

func (v *vault) restoreAs(backup string, acceptLost bool) Report {
	v.t.Helper()
	var before time.Time
	v.view(func(r keys.Reader) (err error) {
		before, err = r.LastWrite()
		return err
	})
	v.close()
	report, err := Restore(v.t.Context(), backup, v.path, acceptLost)
	if err != nil {
		v.t.Fatal(err)
	}
	v.sound(before)
	if report.ReplacedFile == "" || !strings.HasPrefix(report.ReplacedFile, v.path+".replaced-") {
		v.t.Errorf("the file before is %q", report.ReplacedFile)
	} else if _, err := Examine(v.t.Context(), report.ReplacedFile); err != nil {
		v.t.Error(err)
	}
	return report
}

// sound opens the store and wants everything in it to be right, and nothing
// older than a time.
func (v *vault) sound(before time.Time) {
	v.t.Helper()
	found, err := Examine(v.t.Context(), v.path)
	if err != nil {
		v.t.Fatal(err)
	}
	if len(found.Findings) > 0 {
		v.t.Errorf("after the restore: %+v", found.Findings)
	}
	v.open()
	v.view(func(r keys.Reader) error {
		head, err := keys.VerifyAudit(r)
		if err != nil {
			return err
		}
		var last keys.AuditEntry
		for e, err := range r.AuditEntries("", head.Last-1) {
			if err != nil {
				return err
			}
			last = e
		}
		if last.Action != keys.ActionStoreRestore || last.ActorID != keys.Operator || !strings.Contains(string(last.After), `"keys_revoked":`) {
			v.t.Errorf("the last entry of the audit log is %+v", last)
		}
		if at, err := r.LastWrite(); err != nil || at.Before(before) || at.Before(last.At) {
			v.t.Errorf("the last write is of %v, %v; before the restore it was of %v", at, err, before)
		}
		return nil
	})
}

// standing is what the gate would make of a credential.
func (v *vault) standing(c keys.Credential) keys.Standing {
	v.t.Helper()
	e, err := v.d.Find(v.t.Context(), c.Digest)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.d.Standing(e)
}

func (v *vault) credential(c keys.Credential) (now keys.Credential) {
	v.t.Helper()
	v.view(func(r keys.Reader) (err error) {
		now, err = r.Credential(c.Digest)
		return err
	})
	return now
}

// change changes a credential.
func (v *vault) change(c keys.Credential, change func(*keys.Credential)) func(*keys.Tx) error {
	return func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential(c.ID, func(c *keys.Credential) error {
			change(c)
			return nil
		})
		return err
	}
}
