package directory_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func entries(t *testing.T, d *directory.Directory, user string) (list []keys.AuditEntry) {
	t.Helper()
	err := d.View(t.Context(), func(r keys.Reader) error {
		for e, err := range r.AuditEntries(user, 0) {
			if err != nil {
				return err
			}
			list = append(list, e)
		}
		_, err := keys.VerifyAudit(r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Every change leaves an entry, in the order of the changes, and a change of
// nothing leaves none.
func TestAuditOfEveryChange(t *testing.T) {
	d, _, c := newDirectory(t)
	shop := keys.AppRef{OwnerID: "alice", AppID: "shop"}
	ref := keys.CollaboratorRef{AppRef: shop, UserID: "bob"}
	actor := keys.Actor{ID: "cap_1", UserID: "alice", Address: "192.0.2.1"}
	next := newKey()
	foreign := keys.Credential{Digest: credential.DigestOf("foreign"), ID: "cak_foreign", Kind: policy.PAT, UserID: "alice"}
	session := keys.Credential{Digest: credential.DigestOf("session"), ID: "cas_1", Kind: policy.Session, UserID: "alice"}
	for _, step := range []struct {
		action        string
		subject       keys.Subject
		before, after string // what is in them
		change        func(*keys.Tx) error
	}{
		{"user.create", keys.Subject{UserID: "bob"}, "", `"email":"bob@example.com"`, func(tx *keys.Tx) error {
			_, err := tx.CreateUser(keys.User{ID: "bob", Email: "bob@example.com", PasswordHash: "hunter2"})
			return err
		}},
		{"user.change", keys.Subject{UserID: "bob"}, `{"name":""}`, `{"name":"Bob","password":"changed"}`, func(tx *keys.Tx) error {
			_, err := tx.ChangeUser("bob", func(u *keys.User) error { u.Name, u.PasswordHash = "Bob", "hunter3"; return nil })
			return err
		}},
		{"app.change", keys.Subject{UserID: "alice", AppID: "shop"}, `{"name":""}`, `{"name":"Shop"}`, func(tx *keys.Tx) error {
			_, err := tx.ChangeApp(shop, func(a *keys.App) error { a.Name = "Shop"; return nil })
			return err
		}},
		{"key.change", keys.Subject{UserID: "alice", AppID: "shop", KeyID: c.ID}, `{"scopes":["Inputs:Get"]}`, `{"scopes":["Predict"]}`, func(tx *keys.Tx) error {
			_, err := tx.ChangeCredential(c.ID, func(c *keys.Credential) error { c.Scopes = []string{"Predict"}; return nil })
			return err
		}},
		{"key.import", keys.Subject{UserID: "alice", KeyID: "cak_foreign"}, "", `"type":"pat"`, func(tx *keys.Tx) error {
			_, err := tx.ImportCredential(keys.ImportSource{}, foreign)
			return err
		}},
		{"session.create", keys.Subject{UserID: "alice", KeyID: "cas_1"}, "", `"type":"session"`, func(tx *keys.Tx) error {
			_, err := tx.CreateCredential(session)
			return err
		}},
		{"session.end", keys.Subject{UserID: "alice", KeyID: "cas_1"}, `"type":"session"`, `{"reason":"signed out"}`, func(tx *keys.Tx) error {
			return tx.Revoke("cas_1", "signed out")
		}},
		{"collaborator.add", keys.Subject{UserID: "alice", AppID: "shop", CollaboratorID: "bob"}, "", `"scopes":["Predict"]`, func(tx *keys.Tx) error {
			_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: ref, Scopes: []string{"Predict"}})
			return err
		}},
		{"collaborator.change", keys.Subject{UserID: "alice", AppID: "shop", CollaboratorID: "bob"}, `{"scopes":["Predict"]}`, `{"scopes":["Search"]}`, func(tx *keys.Tx) error {
			_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: ref, Scopes: []string{"Search"}})
			return err
		}},
		{"collaborator.remove", keys.Subject{UserID: "alice", AppID: "shop", CollaboratorID: "bob"}, `"scopes":["Search"]`, "", func(tx *keys.Tx) error {
			return tx.RemoveCollaborator(ref)
		}},
		{"key.revoke", keys.Subject{UserID: "alice", AppID: "shop", KeyID: c.ID}, `"scopes":["Predict"]`, `{"reason":"rotated"}`, nil},
		{"key.rotate", keys.Subject{UserID: "alice", AppID: "shop", KeyID: next.ID}, "", `"scopes":["Predict"]`, func(tx *keys.Tx) error {
			_, err := tx.Rotate(c.ID, keys.Rotation{Digest: next.Digest, ID: next.ID})
			return err
		}},
		{"key.revoke", keys.Subject{UserID: "alice", AppID: "shop", KeyID: next.ID}, `"type":"app_key"`, `{"reason":"app deleted"}`, nil},
		{"app.delete", keys.Subject{UserID: "alice", AppID: "shop"}, `{"name":"Shop"}`, "", func(tx *keys.Tx) error {
			return tx.DeleteApp(shop)
		}},
		{"user.delete", keys.Subject{UserID: "bob"}, `"name":"Bob"`, "", func(tx *keys.Tx) error {
			return tx.DeleteUser("bob")
		}},
	} {
		if step.change != nil {
			if err := d.Update(t.Context(), actor, step.change); err != nil {
				t.Fatalf("%s: %v", step.action, err)
			}
		}
		if step.change == nil {
			continue // the next change leaves it
		}
		list := entries(t, d, "")
		e := list[len(list)-1]
		if e.Action != step.action || e.Subject != step.subject {
			t.Errorf("%s of %+v: want %s of %+v", e.Action, e.Subject, step.action, step.subject)
		}
		if e.ActorID != "cap_1" || e.ActorUserID != "alice" || e.Address != "192.0.2.1" || e.At.IsZero() {
			t.Errorf("%s: by %s of %s from %s at %s", e.Action, e.ActorID, e.ActorUserID, e.Address, e.At)
		}
		if !strings.Contains(string(e.Before), step.before) || !strings.Contains(string(e.After), step.after) ||
			(step.before == "") != (e.Before == nil) || (step.after == "") != (e.After == nil) {
			t.Errorf("%s: %s became %s, want %s and %s", e.Action, e.Before, e.After, step.before, step.after)
		}
		if strings.Contains(string(e.Before)+string(e.After), "hunter") {
			t.Errorf("%s shows a secret: %s, %s", e.Action, e.Before, e.After)
		}
	}
	var revoked []string
	for _, e := range entries(t, d, "alice") {
		if e.Action == keys.ActionKeyRevoke {
			revoked = append(revoked, e.KeyID)
		}
	}
	if want := []string{c.ID, next.ID}; !slices.Equal(revoked, want) {
		t.Errorf("revoked %v in the log, want %v", revoked, want)
	}

	count := len(entries(t, d, ""))
	update(t, d, func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.TwoFactor.LastStep++; return nil })
		return err
	})
	if got := len(entries(t, d, "")); got != count {
		t.Errorf("%d entries of a change that shows nothing", got-count)
	}
}

// Removed and altered entries of the log are found.
func TestAuditShowsWhatWasAltered(t *testing.T) {
	change := func(w keys.Writer, seq uint64, how func(*keys.AuditEntry)) error {
		for e, err := range w.AuditEntries("", seq-1) {
			if err != nil {
				return err
			}
			if err := w.DeleteAuditEntry(seq); err != nil {
				return err
			}
			how(&e)
			return w.PutAuditEntry(e)
		}
		return errors.New("no such entry")
	}
	for name, alter := range map[string]func(keys.Writer, keys.AuditHead) error{
		"removed": func(w keys.Writer, h keys.AuditHead) error { return w.DeleteAuditEntry(h.Last - 1) },
		"last":    func(w keys.Writer, h keys.AuditHead) error { return w.DeleteAuditEntry(h.Last) },
		"first":   func(w keys.Writer, h keys.AuditHead) error { return w.DeleteAuditEntry(h.First) },
		"actor": func(w keys.Writer, h keys.AuditHead) error {
			return change(w, h.Last-1, func(e *keys.AuditEntry) { e.ActorID = "x" })
		},
		"time": func(w keys.Writer, h keys.AuditHead) error {
			return change(w, h.Last-1, func(e *keys.AuditEntry) { e.At = e.At.Add(1) })
		},
		"subject": func(w keys.Writer, h keys.AuditHead) error {
			return change(w, 2, func(e *keys.AuditEntry) { e.UserID, e.AppID = e.AppID, e.UserID })
		},
		"contents": func(w keys.Writer, h keys.AuditHead) error {
			return change(w, h.Last, func(e *keys.AuditEntry) { e.After = []byte("{}") })
		},
		"rewritten": func(w keys.Writer, h keys.AuditHead) error {
			return change(w, h.First, func(e *keys.AuditEntry) { e.Hash = credential.DigestOf("x") })
		},
		"cut with its head": func(w keys.Writer, h keys.AuditHead) error {
			h.Last--
			return errors.Join(w.DeleteAuditEntry(h.Last+1), w.PutAuditHead(h))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, m, _ := newDirectory(t)
			createKey(t, d)
			head := keys.AuditHead{}
			verify := func() error {
				return d.View(t.Context(), func(r keys.Reader) (err error) {
					head, err = keys.VerifyAudit(r)
					return err
				})
			}
			if err := verify(); err != nil || head.Last != 4 || head.First != 1 {
				t.Fatalf("%+v, %v; want entries 1 to 4", head, err)
			}
			if _, err := m.Update(t.Context(), func(w keys.Writer) error { return alter(w, head) }); err != nil {
				t.Fatal(err)
			}
			if err := verify(); !errors.Is(err, keys.ErrAuditBroken) {
				t.Errorf("%v; want that it was altered", err)
			}
		})
	}
}

func TestAuditRetention(t *testing.T) {
	d, m, _ := newDirectory(t)
	for range 3 {
		createKey(t, d)
	}
	d.SetAuditRetention(time.Hour)
	if err := d.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(entries(t, d, "")); n != 6 {
		t.Fatalf("%d entries, want the 6 there were: none is old", n)
	}
	d.SetAuditRetention(0)
	if err := d.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The last one stays, because the chain goes on from it.
	list := entries(t, d, "")
	if len(list) != 1 || list[0].Seq != 6 {
		t.Fatalf("%+v left, want the sixth alone", list)
	}
	// As long as it is alone there is nothing to write.
	written := m.updates.Load()
	if err := d.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := m.updates.Load() - written; n != 0 {
		t.Errorf("%d updates where nothing can be taken away", n)
	}
	d.SetAuditRetention(time.Hour)
	createKey(t, d)
	if list := entries(t, d, ""); len(list) != 2 || list[1].Seq != 7 {
		t.Errorf("%+v, want the sixth and the seventh", list)
	}
}

// Another password or second factor ends the user's sessions, except the one
// it was changed with.
func TestSignInOtherwiseEndsSessions(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*keys.User) error
		ends   bool
	}{
		"password":     {func(u *keys.User) error { u.PasswordHash = "other"; return nil }, true},
		"factor on":    {func(u *keys.User) error { u.TwoFactor.Enabled = true; return nil }, true},
		"factor begun": {func(u *keys.User) error { u.TwoFactor.Secret = "S"; return nil }, false},
		"code used":    {func(u *keys.User) error { u.TwoFactor.LastStep = 9; return nil }, false},
		"name":         {func(u *keys.User) error { u.Name = "Alice"; return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, _, c := newDirectory(t)
			sessions := map[string]credential.Digest{}
			for _, id := range []string{"cas_mine", "cas_other"} {
				sessions[id] = credential.DigestOf(id)
				update(t, d, func(tx *keys.Tx) error {
					_, err := tx.CreateCredential(keys.Credential{Digest: sessions[id], ID: id, Kind: policy.Session, UserID: "alice"})
					return err
				})
			}
			err := d.Update(t.Context(), keys.Actor{ID: "cas_mine", UserID: "alice"}, func(tx *keys.Tx) error {
				_, err := tx.ChangeUser("alice", tt.change)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for digest, lives := range map[credential.Digest]bool{sessions["cas_mine"]: true, sessions["cas_other"]: !tt.ends, c.Digest: true} {
				if e := find(t, d, digest); e.Exists() != lives {
					t.Errorf("%s: exists %v, want %v", e.Caller().KeyID, e.Exists(), lives)
				}
			}
		})
	}
}
