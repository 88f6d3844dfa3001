package keystest

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The records made with a credential are found without a walk. Their owner
// counts.
func testMade(t *testing.T, s keys.Store) {
	made := func(c keys.Credential, by string) keys.Credential { c.CreatedBy = by; return c }
	session := made(token("cas_1", "u"), "")
	session.Kind = policy.Session
	added := collaborator("u", "a", "v")
	added.CreatedBy = "cap_1"
	put(t, s, session, token("cap_1", "u"), made(appKey("cak_1", "u", "a"), "cap_1"), made(token("cap_2", "u"), "cap_1"),
		made(token("cap_3", "u"), "cap_10"), made(token("cap_4", "v"), "cap_1"), added, collaborator("u", "a", "w"),
		keys.Tombstone{Digest: credential.DigestOf("x"), ID: "cap_5", UserID: "u", CreatedBy: "cap_1", At: at(3)},
		keys.Tombstone{Digest: credential.DigestOf("y"), ID: "cap_6", UserID: "v", CreatedBy: "cap_1", At: at(3)})
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "Sessions", r.Sessions("u", 0), "cas_1")
		wantIDs(t, "Sessions of v", r.Sessions("v", 0))
		wantIDs(t, "CredentialsMade", r.CredentialsMade("u", "cap_1", 0), "cak_1", "cap_2")
		wantIDs(t, "CredentialsMade by the operator", r.CredentialsMade("u", keys.Operator, 0))
		wantIDs(t, "CredentialsMade by nobody", r.CredentialsMade("u", "", 0))
		wantIDs(t, "CredentialsMade of v", r.CredentialsMade("v", "cap_1", 0), "cap_4")
		wantIDs(t, "CollaboratorsAdded", r.CollaboratorsAdded("u", "cap_1", 0), "u/a+v")
		wantIDs(t, "CollaboratorsAdded to v's apps", r.CollaboratorsAdded("v", "cap_1", 0))
		n := 0
		for tomb, err := range r.TombstonesMade("u", "cap_1") {
			if n++; err != nil || tomb.ID != "cap_5" {
				t.Errorf("TombstonesMade: got %s, %v", tomb.ID, err)
			}
		}
		if n != 1 {
			t.Errorf("TombstonesMade: got %d, want 1", n)
		}
		return nil
	})
	update(t, s, func(w keys.Writer) error {
		return w.DeleteCredential(credential.DigestOf("cap_2"))
	})
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "CredentialsMade, one deleted", r.CredentialsMade("u", "cap_1", 0), "cak_1")
		return nil
	})
}

// Totals count what is there, however often it is written.
func testTotals(t *testing.T, s keys.Store) {
	want := func(userID string, total keys.Totals) {
		t.Helper()
		view(t, s, func(r keys.Reader) error {
			if got, err := r.Totals(userID); err != nil || got != total {
				t.Errorf("Totals of %s: got %+v, %v; want %+v", userID, got, err, total)
			}
			return nil
		})
	}
	session := token("cas_1", "u")
	session.Kind = policy.Session
	want("u", keys.Totals{})
	put(t, s, app("u", "a"), app("u", "b"), appKey("cak_1", "u", "a"), token("cap_1", "u"), token("cap_2", "ux"), session)
	want("u", keys.Totals{Keys: 2, Apps: 2})
	want("ux", keys.Totals{Keys: 1})
	put(t, s, app("u", "a"), token("cap_1", "u"))
	want("u", keys.Totals{Keys: 2, Apps: 2})
	put(t, s, token("cap_1", "v")) // another's now
	want("u", keys.Totals{Keys: 1, Apps: 2})
	want("v", keys.Totals{Keys: 1})
	update(t, s, func(w keys.Writer) error {
		for range 2 {
			if err := w.DeleteApp(keys.AppRef{OwnerID: "u", AppID: "b"}); err != nil {
				return err
			}
			if err := w.DeleteCredential(credential.DigestOf("cap_1")); err != nil {
				return err
			}
		}
		return w.DeleteCredential(credential.DigestOf("cas_1"))
	})
	want("u", keys.Totals{Keys: 1, Apps: 1})
	want("v", keys.Totals{})
}

func testDeletions(t *testing.T, s keys.Store) {
	user := keys.Deletion{AppRef: keys.AppRef{OwnerID: "u"}, At: at(1), By: keys.Actor{ID: "cap_1", UserID: "u", Address: "192.0.2.1"}}
	app := keys.Deletion{AppRef: keys.AppRef{OwnerID: "u", AppID: "a"}, At: at(2), By: keys.Actor{ID: keys.Operator}}
	update(t, s, func(w keys.Writer) error {
		for _, d := range []keys.Deletion{user, app} {
			if err := w.PutDeletion(d); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, s, func(r keys.Reader) error {
		for _, want := range []keys.Deletion{user, app} {
			if got, err := r.Deletion(want.AppRef); err != nil || got != want {
				t.Errorf("Deletion: got %+v, %v; want %+v", got, err, want)
			}
		}
		none, err := r.Deletion(keys.AppRef{OwnerID: "u", AppID: "b"})
		wantNotFound(t, "Deletion", none, err)
		return nil
	})
	update(t, s, func(w keys.Writer) error { return w.DeleteDeletion(user.AppRef) })
	view(t, s, func(r keys.Reader) error {
		n := 0
		for got, err := range r.Deletions() {
			if n++; err != nil || got != app {
				t.Errorf("Deletions: got %+v, %v; want %+v", got, err, app)
			}
		}
		if n != 1 {
			t.Errorf("Deletions: got %d, want 1", n)
		}
		return nil
	})
}
