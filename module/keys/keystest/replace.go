package keystest

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// A replaced record keeps its place if its seq is put back, and goes to the
// end if not.
func testReplace(t *testing.T, s keys.Store) {
	put(t, s, user("1"), user("2"), user("3"), token("cap_1", "u"), token("cap_2", "u"), token("cap_3", "u"))
	update(t, s, func(w keys.Writer) error {
		u, err := w.User("1")
		if err != nil {
			return err
		}
		u.Name = "Another"
		c, err := w.Credential(credential.DigestOf("cap_2"))
		if err != nil {
			return err
		}
		c.Disabled = true
		return putAll(w, u, user("2"), c)
	})
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "Users", r.Users(0), "1", "3", "2")
		wantIDs(t, "Credentials", r.Credentials("u", 0), "cap_1", "cap_2", "cap_3")
		u, err := r.User("1")
		if err != nil || u.Name != "Another" {
			t.Errorf("got %+v, %v", u, err)
		}
		c, err := r.CredentialByID("cap_2")
		if err != nil || !c.Disabled {
			t.Errorf("got %+v, %v", c, err)
		}
		return nil
	})
}

// A replaced record is no longer listed under its old keys.
func testReplaceMoves(t *testing.T, s keys.Store) {
	put(t, s, appKey("cak_1", "u", "a"))
	moved := token("cap_1", "v")
	moved.Digest = credential.DigestOf("cak_1")
	put(t, s, moved)
	view(t, s, func(r keys.Reader) error {
		c, err := r.CredentialByID("cak_1")
		wantNotFound(t, "the old id", c, err)
		c, err = r.CredentialByID("cap_1")
		found(t, c, err, moved)
		wantIDs(t, "of the old user", r.Credentials("u", 0))
		wantIDs(t, "of the old app", r.AppCredentials(keys.AppRef{OwnerID: "u", AppID: "a"}, 0))
		wantIDs(t, "of the new user", r.Credentials("v", 0), "cap_1")
		return nil
	})
}

func testDelete(t *testing.T, s keys.Store) {
	put(t, s, user("u"), user("v"), app("u", "a"), app("u", "b"),
		appKey("cak_1", "u", "a"), appKey("cak_2", "u", "a"), collaborator("u", "a", "v"), collaborator("u", "a", "w"))
	update(t, s, func(w keys.Writer) error {
		for _, err := range []error{
			w.DeleteUser("u"), w.DeleteApp(keys.AppRef{OwnerID: "u", AppID: "a"}),
			w.DeleteCredential(credential.DigestOf("cak_1")), w.DeleteCollaborator(collaborator("u", "a", "v").CollaboratorRef),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	a := keys.AppRef{OwnerID: "u", AppID: "a"}
	view(t, s, func(r keys.Reader) error {
		u, err := r.User("u")
		wantNotFound(t, "User", u, err)
		c, err := r.Credential(credential.DigestOf("cak_1"))
		wantNotFound(t, "Credential", c, err)
		c, err = r.CredentialByID("cak_1")
		wantNotFound(t, "CredentialByID", c, err)
		ap, err := r.App(a)
		wantNotFound(t, "App", ap, err)
		l, err := r.Collaborator(collaborator("u", "a", "v").CollaboratorRef)
		wantNotFound(t, "Collaborator", l, err)
		// A delete takes one record along, and none of those that name it.
		wantIDs(t, "Users", r.Users(0), "v")
		wantIDs(t, "Apps", r.Apps("u", 0), "u/b")
		wantIDs(t, "Credentials", r.Credentials("u", 0), "cak_2")
		wantIDs(t, "AppCredentials", r.AppCredentials(a, 0), "cak_2")
		wantIDs(t, "Collaborators", r.Collaborators(a, 0), "u/a+w")
		wantIDs(t, "Collaborations", r.Collaborations("v", 0))
		return nil
	})

	// A record that comes back comes last, and no other record gets the place of
	// a deleted one.
	put(t, s, user("u"), appKey("cak_1", "u", "a"))
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "Users", r.Users(0), "v", "u")
		wantIDs(t, "Credentials", r.Credentials("u", 0), "cak_2", "cak_1")
		return nil
	})
}
