package keystest

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

func testNotFound(t *testing.T, s keys.Store) {
	view(t, s, func(r keys.Reader) error {
		u, err := r.User("u")
		wantNotFound(t, "User", u, err)
		a, err := r.App(keys.AppRef{OwnerID: "u", AppID: "a"})
		wantNotFound(t, "App", a, err)
		c, err := r.Credential(credential.DigestOf("c"))
		wantNotFound(t, "Credential", c, err)
		c, err = r.CredentialByID("c")
		wantNotFound(t, "CredentialByID", c, err)
		l, err := r.Collaborator(collaborator("u", "a", "v").CollaboratorRef)
		wantNotFound(t, "Collaborator", l, err)
		d, err := r.Tombstone(credential.DigestOf("c"))
		wantNotFound(t, "Tombstone", d, err)
		d, err = r.TombstoneByID("c")
		wantNotFound(t, "TombstoneByID", d, err)
		wantIDs(t, "Users", r.Users(0))
		wantIDs(t, "Apps", r.Apps("u", 0))
		wantIDs(t, "Credentials", r.Credentials("u", 0))
		wantIDs(t, "AppCredentials", r.AppCredentials(keys.AppRef{OwnerID: "u", AppID: "a"}, 0))
		wantIDs(t, "Collaborators", r.Collaborators(keys.AppRef{OwnerID: "u", AppID: "a"}, 0))
		wantIDs(t, "Collaborations", r.Collaborations("u", 0))
		return nil
	})
	update(t, s, func(w keys.Writer) error {
		for what, err := range map[string]error{
			"user":         w.DeleteUser("u"),
			"app":          w.DeleteApp(keys.AppRef{OwnerID: "u", AppID: "a"}),
			"credential":   w.DeleteCredential(credential.DigestOf("c")),
			"collaborator": w.DeleteCollaborator(collaborator("u", "a", "v").CollaboratorRef),
		} {
			if err != nil {
				t.Errorf("deleting a %s that is not there: %v", what, err)
			}
		}
		return nil
	})
}

func testRoundTrip(t *testing.T, s keys.Store) {
	u := keys.User{
		ID: "u", Name: "Ünal", Email: "U@example.com", Suspended: true, Operator: true, Plan: "free", PasswordHash: "$argon2id$", CreatedAt: at(1), ModifiedAt: at(2), Version: 7,
		TwoFactor: signin.TwoFactor{Secret: "BASE32", Enabled: true, LastStep: 1 << 40, RecoveryCodes: []credential.Digest{credential.DigestOf("1"), credential.DigestOf("2")}},
	}
	a := keys.App{AppRef: keys.AppRef{OwnerID: "u", AppID: "a"}, Name: "An app", Plan: "small", CreatedAt: at(1), ModifiedAt: at(2), Version: 8}
	k := keys.Credential{
		Digest: credential.DigestOf("k"), ID: "cak_1", Kind: policy.AppKey, UserID: "u", AppID: "a",
		Description: "a key", Scopes: []string{"B", "A"}, Endpoints: []string{"/p.S/N", "/p.S/M"}, Disabled: true,
		CreatedAt: at(1), ModifiedAt: at(2), CreatedBy: "cap_1", ExpiresAt: at(3), Version: 9,
		Plan:      "free",
		Limits:    policy.Limits{Rate: policy.Rate{N: 10, Per: time.Second, Burst: 20}, Quota: policy.Quota{N: 1000, Per: policy.Month}, Concurrent: 3},
		Addresses: policy.Addresses{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
		Resources: policy.Values{"model": {"llama-3*"}, "voice": {}}, Origin: credential.DigestOf("first"),
	}
	p := keys.Credential{Digest: credential.DigestOf("p"), ID: "cap_1", Kind: policy.PAT, UserID: "u", Addresses: policy.Addresses{}}
	n := keys.Credential{Digest: credential.DigestOf("n"), ID: "cas_1", Kind: policy.Session, UserID: "u", Idle: 36 * time.Hour, Address: "2001:db8::1"}
	l := keys.Collaborator{
		CollaboratorRef: keys.CollaboratorRef{AppRef: a.AppRef, UserID: keys.Everyone},
		Scopes:          []string{"B", "A"}, Endpoints: []string{"/p.S/N", "/p.S/M"}, CreatedAt: at(1), ModifiedAt: at(2), CreatedBy: "cap_2", Version: 10,
	}
	d := keys.Tombstone{Digest: credential.DigestOf("d"), ID: "cak_0", UserID: "u", CreatedBy: "cap_1", At: at(1), Reason: "leaked"}
	put(t, s, u, a, k, p, n, l, d)

	view(t, s, func(r keys.Reader) error {
		gotUser, err := r.User("u")
		found(t, gotUser, err, u)
		gotApp, err := r.App(a.AppRef)
		found(t, gotApp, err, a)
		for _, c := range []keys.Credential{k, p, n} {
			got, err := r.Credential(c.Digest)
			found(t, got, err, c)
			got, err = r.CredentialByID(c.ID)
			found(t, got, err, c)
		}
		gotCollaborator, err := r.Collaborator(l.CollaboratorRef)
		found(t, gotCollaborator, err, l)
		gotTombstone, err := r.Tombstone(d.Digest)
		found(t, gotTombstone, err, d)
		gotTombstone, err = r.TombstoneByID(d.ID)
		found(t, gotTombstone, err, d)
		// An id is all of one, not the beginning.
		gotTombstone, err = r.TombstoneByID("cak_")
		wantNotFound(t, "TombstoneByID", gotTombstone, err)

		// The lists give the same records, whole.
		for got, err := range r.Users(0) {
			found(t, got, err, u)
		}
		for got, err := range r.Apps("u", 0) {
			found(t, got, err, a)
		}
		for got, err := range r.AppCredentials(a.AppRef, 0) {
			found(t, got, err, k)
		}
		for got, err := range r.Collaborators(a.AppRef, 0) {
			found(t, got, err, l)
		}
		return nil
	})
}

// found is [equal] for what a look-up returned.
func found[R any](t *testing.T, got R, err error, want R) {
	t.Helper()
	if err != nil {
		t.Errorf("%T: %v", want, err)
		return
	}
	equal(t, got, want)
}

// An expiry that is lost or bent is a credential that works for too long.
func testTimes(t *testing.T, s keys.Store) {
	for name, want := range map[string]time.Time{
		"never":      {},
		"epoch":      time.Unix(0, 0).UTC(),
		"before it":  time.Unix(-1, 999999999).UTC(),
		"nanosecond": time.Unix(1, 1).UTC(),
		"far":        time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	} {
		c := token("cap_times", "u")
		c.ExpiresAt = want
		put(t, s, c)
		view(t, s, func(r keys.Reader) error {
			got, err := r.Credential(c.Digest)
			if err != nil || !got.ExpiresAt.Equal(want) || got.ExpiresAt.IsZero() != want.IsZero() {
				t.Errorf("%s: got %v, %v; want %v", name, got.ExpiresAt, err, want)
			}
			return nil
		})
	}

	c := token("cap_zone", "u")
	c.ExpiresAt = at(1).In(time.FixedZone("elsewhere", 3600))
	put(t, s, c)
	view(t, s, func(r keys.Reader) error {
		got, err := r.Credential(c.Digest)
		if err != nil || got.ExpiresAt != at(1) {
			t.Errorf("with a zone: got %v, %v; want %v, in UTC", got.ExpiresAt, err, at(1))
		}
		return nil
	})
}

// No list is all endpoints, and an empty one none.
func testEndpoints(t *testing.T, s keys.Store) {
	for name, want := range map[string][]string{"nil": nil, "empty": {}, "one": {"/p.S/M"}} {
		c, l := token("cap_1", "u"), collaborator("u", "a", "v")
		c.Endpoints, l.Endpoints = want, want
		put(t, s, c, l)
		view(t, s, func(r keys.Reader) error {
			gotC, err := r.Credential(c.Digest)
			if err != nil {
				return err
			}
			gotL, err := r.Collaborator(l.CollaboratorRef)
			if err != nil {
				return err
			}
			for _, got := range [][]string{gotC.Endpoints, gotL.Endpoints} {
				if (got == nil) != (want == nil) || !slices.Equal(got, want) {
					t.Errorf("%s: got %#v, want %#v", name, got, want)
				}
			}
			return nil
		})
	}
}

// A record shares memory neither with the store nor with who put it.
func testCopies(t *testing.T, s keys.Store) {
	update(t, s, func(w keys.Writer) error {
		c := token("cap_1", "u")
		c.Scopes, c.Endpoints = []string{"First"}, []string{"/p.S/First"}
		if err := w.PutCredential(c); err != nil {
			return err
		}
		c.Scopes[0], c.Endpoints[0] = "Other", "/p.S/Other"
		return nil
	})

	var kept keys.Credential
	view(t, s, func(r keys.Reader) (err error) {
		if kept, err = r.Credential(credential.DigestOf("cap_1")); err != nil {
			return err
		}
		again, err := r.Credential(credential.DigestOf("cap_1"))
		if err != nil {
			return err
		}
		again.Scopes[0] = "Scribble"
		return nil
	})
	// Write over where it was, many times.
	for i := range 50 {
		update(t, s, func(w keys.Writer) error {
			over := token("cap_1", "u")
			over.Description = string(bytes.Repeat([]byte{byte('a' + i%26)}, 500))
			over.Scopes = []string{"Later"}
			return w.PutCredential(over)
		})
	}
	want := token("cap_1", "u")
	want.Scopes, want.Endpoints = []string{"First"}, []string{"/p.S/First"}
	equal(t, kept, want)
}
