package boltstore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/records"
	"github.com/caddy-api-keys/gateway/module/signin"
)

var inAnHour = time.Now().Add(time.Hour).UTC().Truncate(time.Second)

func noCollaborator(t *testing.T, v *vault) {
	e, err := v.d.Collaborator(t.Context(), v.collaborator)
	if err != nil || e.Exists() {
		t.Errorf("the collaborator is there, %v", err)
	}
}

// Restrictions made after the backup stay, and grants made after it are gone.
func TestRestoreRules(t *testing.T) {
	type step = func(*vault) func(*keys.Tx) error
	keyIs := func(want string) func(*testing.T, *vault) {
		return func(t *testing.T, v *vault) {
			c := v.credential(v.key)
			endpoints := fmt.Sprint(c.Endpoints)
			if c.Endpoints == nil {
				endpoints = "all"
			}
			got := fmt.Sprint(c.Scopes, " ", endpoints)
			if c.Disabled {
				got += " disabled"
			}
			if !c.ExpiresAt.IsZero() {
				got += " until " + c.ExpiresAt.Sub(inAnHour).String()
			}
			if got != want {
				t.Errorf("the key is %s, want %s", got, want)
			}
		}
	}
	keyStands := func(want keys.Standing) func(*testing.T, *vault) {
		return func(t *testing.T, v *vault) {
			if got := v.standing(v.key); got != want {
				t.Errorf("the gate takes the key for %d, want %d", got, want)
			}
		}
	}
	collaboratorIs := func(want string) func(*testing.T, *vault) {
		return func(t *testing.T, v *vault) {
			v.view(func(r keys.Reader) error {
				c, err := r.Collaborator(v.collaborator)
				if got := fmt.Sprint(c.Scopes, c.Endpoints, c.Endpoints != nil); err != nil || got != want {
					t.Errorf("the grant is %s, %v; want %s", got, err, want)
				}
				return nil
			})
		}
	}
	addCollaborator := func(scopes, endpoints []string) step {
		return func(v *vault) func(*keys.Tx) error {
			return func(tx *keys.Tx) error {
				_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: v.collaborator, Scopes: scopes, Endpoints: endpoints})
				return err
			}
		}
	}
	key := func(change func(*keys.Credential)) step {
		return func(v *vault) func(*keys.Tx) error { return v.change(v.key, change) }
	}
	alice := func(change func(*keys.User)) step {
		return func(*vault) func(*keys.Tx) error {
			return func(tx *keys.Tx) error {
				_, err := tx.ChangeUser("alice", func(u *keys.User) error {
					change(u)
					return nil
				})
				return err
			}
		}
	}
	expires := func(in time.Duration) step { return key(func(c *keys.Credential) { c.ExpiresAt = inAnHour.Add(in) }) }
	shop := keys.AppRef{OwnerID: "alice", AppID: "shop"}

	for name, c := range map[string]struct {
		before, after step // the backup
		want          records.Counts
		check         []func(*testing.T, *vault)
	}{
		"nothing": {
			check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/A /p.S/B]"), keyStands(keys.Active), collaboratorIs("[A B] [/p.S/A /p.S/B] true")},
		},
		"revoked": {
			after: func(v *vault) func(*keys.Tx) error {
				return func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") }
			},
			want: records.Counts{KeysRevoked: 1, TombstonesAdded: 1},
			check: []func(*testing.T, *vault){keyStands(keys.Unknown), func(t *testing.T, v *vault) {
				v.view(func(r keys.Reader) error {
					if ts, err := r.Tombstone(v.key.Digest); err != nil || ts.Reason != "leaked" || ts.UserID != "alice" {
						t.Errorf("the tombstone is %+v, %v", ts, err)
					}
					return nil
				})
				c := v.key
				err := v.d.Update(t.Context(), operator, func(tx *keys.Tx) error { _, err := tx.ImportCredential(keys.ImportSource{}, c); return err })
				if !errors.Is(err, keys.ErrRevoked) {
					t.Errorf("it could be imported: %v", err)
				}
			}},
		},
		"rotated": {
			after: func(v *vault) func(*keys.Tx) error {
				return func(tx *keys.Tx) error {
					_, err := tx.Rotate(v.key.ID, keys.Rotation{Digest: credential.DigestOf("new"), ID: "cak_new"})
					return err
				}
			},
			want:  records.Counts{KeysRevoked: 1, TombstonesAdded: 1, KeysGone: 1},
			check: []func(*testing.T, *vault){keyStands(keys.Unknown)},
		},
		"rotated with grace": {
			after: func(v *vault) func(*keys.Tx) error {
				return func(tx *keys.Tx) error {
					_, err := tx.Rotate(v.key.ID, keys.Rotation{Digest: credential.DigestOf("new"), ID: "cak_new", Grace: time.Minute})
					return err
				}
			},
			want: records.Counts{KeysNarrowed: 1, KeysGone: 1},
			check: []func(*testing.T, *vault){keyStands(keys.Active), func(t *testing.T, v *vault) {
				if at := v.credential(v.key).ExpiresAt; at.IsZero() || time.Until(at) > time.Minute {
					t.Errorf("it ends at %v", at)
				}
			}},
		},
		"disabled": {
			after: key(func(c *keys.Credential) { c.Disabled = true }),
			want:  records.Counts{KeysNarrowed: 1},
			check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/A /p.S/B] disabled"), keyStands(keys.Disabled)},
		},
		"enabled": {
			before: key(func(c *keys.Credential) { c.Disabled = true }),
			after:  key(func(c *keys.Credential) { c.Disabled = false }),
			check:  []func(*testing.T, *vault){keyStands(keys.Disabled)},
		},
		"scopes taken away": {
			after: key(func(c *keys.Credential) { c.Scopes = []string{"B", "C"} }),
			want:  records.Counts{KeysNarrowed: 1},
			check: []func(*testing.T, *vault){keyIs("[B] [/p.S/A /p.S/B]")},
		},
		"scopes given": {
			after: key(func(c *keys.Credential) { c.Scopes = []string{"A", "B", "C"} }),
			check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/A /p.S/B]")},
		},
		"all scopes given": {
			after: key(func(c *keys.Credential) { c.Scopes = []string{policy.ScopeAll} }),
			check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/A /p.S/B]")},
		},
		"all scopes taken away": {
			before: key(func(c *keys.Credential) { c.Scopes = []string{policy.ScopeAll} }),
			after:  key(func(c *keys.Credential) { c.Scopes = []string{"C"} }),
			want:   records.Counts{KeysNarrowed: 1},
			check:  []func(*testing.T, *vault){keyIs("[C] [/p.S/A /p.S/B]")},
		},
		"endpoints taken away": {
			after: key(func(c *keys.Credential) { c.Endpoints = []string{endpointB} }),
			want:  records.Counts{KeysNarrowed: 1},
			check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/B]")},
		},
		"other endpoints, and none of both": {
			after: key(func(c *keys.Credential) { c.Endpoints = []string{"/p.S/C"} }),
			want:  records.Counts{KeysNarrowed: 1},
			check: []func(*testing.T, *vault){keyIs("[A B] [] disabled"), func(t *testing.T, v *vault) {
				e, err := v.d.Find(t.Context(), v.key.Digest)
				if err != nil {
					t.Fatal(err)
				}
				if permits(t, e, endpointA) || permits(t, e, endpointB) || permits(t, e, "/p.S/C") {
					t.Error("a list that was emptied grants an endpoint")
				}
			}},
		},
		"limited to endpoints": {
			before: key(func(c *keys.Credential) { c.Endpoints = nil }),
			after:  key(func(c *keys.Credential) { c.Endpoints = []string{endpointA} }),
			want:   records.Counts{KeysNarrowed: 1},
			check:  []func(*testing.T, *vault){keyIs("[A B] [/p.S/A]")},
		},
		"all endpoints given": {
			after: key(func(c *keys.Credential) { c.Endpoints = nil }),
			check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/A /p.S/B]")},
		},
		"an expiry":    {after: expires(0), want: records.Counts{KeysNarrowed: 1}, check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/A /p.S/B] until 0s")}},
		"sooner":       {before: expires(time.Hour), after: expires(0), want: records.Counts{KeysNarrowed: 1}, check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/A /p.S/B] until 0s")}},
		"later":        {before: expires(0), after: expires(time.Hour), check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/A /p.S/B] until 0s")}},
		"never at all": {before: expires(0), after: key(func(c *keys.Credential) { c.ExpiresAt = time.Time{} }), check: []func(*testing.T, *vault){keyIs("[A B] [/p.S/A /p.S/B] until 0s")}},
		"suspended": {
			after: alice(func(u *keys.User) { u.Suspended = true }),
			want:  records.Counts{UsersChanged: 1}, check: []func(*testing.T, *vault){keyStands(keys.Suspended)},
		},
		"no longer suspended": {
			before: alice(func(u *keys.User) { u.Suspended = true }), after: alice(func(u *keys.User) { u.Suspended = false }),
			check: []func(*testing.T, *vault){keyStands(keys.Suspended)},
		},
		"another password and second factor": {
			after: alice(func(u *keys.User) {
				u.PasswordHash, u.TwoFactor = "$argon2id$new", signin.TwoFactor{Secret: "NEW", Enabled: true, LastStep: 7}
				u.Name = "Alice" // which is no narrowing
			}),
			want: records.Counts{UsersChanged: 1},
			check: []func(*testing.T, *vault){func(t *testing.T, v *vault) {
				v.view(func(r keys.Reader) error {
					u, err := r.User("alice")
					if err != nil || u.PasswordHash != "$argon2id$new" || u.TwoFactor.Secret != "NEW" || u.TwoFactor.LastStep != 7 || u.Name != "" {
						t.Errorf("the user is %+v, %v", u, err)
					}
					return nil
				})
			}},
		},
		"no password any more": {
			after: alice(func(u *keys.User) { u.PasswordHash = "" }), want: records.Counts{UsersChanged: 1},
			check: []func(*testing.T, *vault){func(t *testing.T, v *vault) {
				v.view(func(r keys.Reader) error {
					if u, err := r.User("alice"); err != nil || u.PasswordHash != "" {
						t.Errorf("the user is %+v, %v", u, err)
					}
					return nil
				})
			}},
		},
		"user deleted": {
			after: func(*vault) func(*keys.Tx) error { return func(tx *keys.Tx) error { return tx.DeleteUser("alice") } },
			want:  records.Counts{UsersDeleted: 1, AppsDeleted: 1, KeysRevoked: 1, TombstonesAdded: 1, CollaboratorsRemoved: 1},
			check: []func(*testing.T, *vault){keyStands(keys.Unknown), func(t *testing.T, v *vault) {
				err := v.d.Update(t.Context(), operator, func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "alice"}); return err })
				if !errors.Is(err, keys.ErrExists) {
					t.Errorf("the id can be used again: %v", err)
				}
			}},
		},
		"collaborator deleted": {
			after: func(*vault) func(*keys.Tx) error { return func(tx *keys.Tx) error { return tx.DeleteUser("bob") } },
			want:  records.Counts{UsersDeleted: 1, KeysRevoked: 1, TombstonesAdded: 1, CollaboratorsRemoved: 1},
		},
		"app deleted": {
			after: func(*vault) func(*keys.Tx) error { return func(tx *keys.Tx) error { return tx.DeleteApp(shop) } },
			want:  records.Counts{AppsReturned: 1, KeysRevoked: 1, TombstonesAdded: 1, CollaboratorsRemoved: 1},
			check: []func(*testing.T, *vault){keyStands(keys.Unknown)},
		},
		"collaborator removed": {
			after: func(v *vault) func(*keys.Tx) error {
				return func(tx *keys.Tx) error { return tx.RemoveCollaborator(v.collaborator) }
			},
			want:  records.Counts{CollaboratorsRemoved: 1},
			check: []func(*testing.T, *vault){noCollaborator},
		},
		"collaborator narrowed": {
			after: addCollaborator([]string{"B", "C"}, []string{endpointB}), want: records.Counts{CollaboratorsNarrowed: 1},
			check: []func(*testing.T, *vault){collaboratorIs("[B] [/p.S/B] true")},
		},
		"collaborator without endpoints": {
			after: addCollaborator([]string{"C"}, []string{"/p.S/C"}), want: records.Counts{CollaboratorsRemoved: 1},
			check: []func(*testing.T, *vault){noCollaborator},
		},
		"collaborator widened": {
			after: addCollaborator([]string{policy.ScopeAll}, nil),
			check: []func(*testing.T, *vault){collaboratorIs("[A B] [/p.S/A /p.S/B] true")},
		},
		"taken back and made again, for less": {
			after: func(v *vault) func(*keys.Tx) error {
				return func(tx *keys.Tx) error {
					return errors.Join(tx.RemoveCollaborator(v.collaborator), addCollaborator([]string{"A"}, []string{endpointA})(v)(tx))
				}
			},
			want: records.Counts{CollaboratorsNarrowed: 1}, check: []func(*testing.T, *vault){collaboratorIs("[A] [/p.S/A] true")},
		},
		"made since": {
			after: func(v *vault) func(*keys.Tx) error {
				return func(tx *keys.Tx) error {
					v.mint(tx, keys.Credential{Kind: policy.PAT, UserID: "bob"})
					_, err := tx.CreateUser(keys.User{ID: "dora"})
					return err
				}
			},
			want: records.Counts{KeysGone: 1, UsersGone: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			if c.before != nil {
				v.update(c.before(v))
			}
			backup := v.backup("backup.db")
			if c.after != nil {
				v.update(c.after(v))
			}
			versions := v.versions()
			report := v.restore(backup)
			c.want.SessionsEnded = 1
			if report.Counts != c.want {
				t.Errorf("it says\n     %+v\nwant %+v", report.Counts, c.want)
			}
			if len(report.Notices) > 0 || report.LostRevocations != "" {
				t.Errorf("it says %q, %q", report.Notices, report.LostRevocations)
			}
			for _, check := range c.check {
				check(t, v)
			}
			if v.standing(v.session) != keys.Unknown {
				t.Error("a session is good after the restore")
			}
			v.wantNewVersions(versions)

			// Once more changes nothing more.
			again := v.restore(backup)
			again.SessionsEnded, again.KeysGone, again.UsersGone = 0, 0, 0
			for _, check := range c.check {
				check(t, v)
			}
			if again.UsersDeleted != c.want.UsersDeleted || again.KeysRevoked != c.want.KeysRevoked || again.CollaboratorsRemoved != c.want.CollaboratorsRemoved {
				t.Errorf("the second time it says %+v, after %+v", again.Counts, c.want)
			}
		})
	}
}

// permits reports whether an entry may call an endpoint, without asking any
// scope.
func permits(t *testing.T, e *directory.Entry, endpoint string) bool {
	t.Helper()
	table, err := policy.NewTable([]policy.Route{{Method: "GET", Pattern: "/x", Endpoint: []string{endpoint}}}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	grant := *e.Grant()
	return grant.Permits(table.Find("GET", false, "/x"))
}

// versions are those of the records that are edited, by what they are of.
func (v *vault) versions() map[string][2]uint64 {
	v.t.Helper()
	all := map[string][2]uint64{}
	v.view(func(r keys.Reader) error {
		for u, err := range r.Users(0) {
			if err != nil {
				return err
			}
			all[u.ID] = [2]uint64{u.Version, uint64(u.ModifiedAt.UnixNano())}
			for c, err := range r.Credentials(u.ID, 0) {
				if err != nil {
					return err
				}
				all[c.ID] = [2]uint64{c.Version, uint64(c.ModifiedAt.UnixNano())}
			}
		}
		return nil
	})
	return all
}

// wantNewVersions wants an edit that was begun before the restore to be
// refused where the record has changed: by the restore too.
func (v *vault) wantNewVersions(before map[string][2]uint64) {
	v.t.Helper()
	for of, now := range v.versions() {
		if was, there := before[of]; there && now != was && now[0] <= was[0] {
			v.t.Errorf("%s has the version %d, and before the restore it had %d", of, now[0], was[0])
		}
	}
}

// While the clock is behind the newest write, as after it was set back, every
// change bears the time of that one: the backup's last and those behind it.
func TestRestoreWhileTheClockIsBehind(t *testing.T) {
	removeCollaborator := func(v *vault) func(*keys.Tx) error {
		return func(tx *keys.Tx) error { return tx.RemoveCollaborator(v.collaborator) }
	}
	addCollaborator := func(scopes ...string) func(*vault) func(*keys.Tx) error {
		return func(v *vault) func(*keys.Tx) error {
			return func(tx *keys.Tx) error {
				_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: v.collaborator, Scopes: scopes})
				return err
			}
		}
	}
	for name, c := range map[string]struct {
		after []func(*vault) func(*keys.Tx) error
		want  records.Counts
		check func(*testing.T, *vault)
	}{
		"collaborator removed": {
			after: []func(*vault) func(*keys.Tx) error{removeCollaborator},
			want:  records.Counts{CollaboratorsRemoved: 1}, check: noCollaborator,
		},
		"collaborator added again, for less": {
			after: []func(*vault) func(*keys.Tx) error{removeCollaborator, addCollaborator("B")},
			want:  records.Counts{CollaboratorsNarrowed: 1},
			check: func(t *testing.T, v *vault) {
				v.view(func(r keys.Reader) error {
					c, err := r.Collaborator(v.collaborator)
					if got := fmt.Sprint(c.Scopes); err != nil || got != "[B]" {
						t.Errorf("the grant is %s, %v; want [B]", got, err)
					}
					return nil
				})
			},
		},
		"key disabled": {
			after: []func(*vault) func(*keys.Tx) error{func(v *vault) func(*keys.Tx) error {
				return v.change(v.key, func(c *keys.Credential) { c.Disabled = true })
			}},
			want: records.Counts{KeysNarrowed: 1},
			check: func(t *testing.T, v *vault) {
				if got := v.standing(v.key); got != keys.Disabled {
					t.Errorf("the gate takes the key for %d", got)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			v.close()
			s := newStore(t, v.path, realFaults())
			_, ahead := s.Update(t.Context(), func(w keys.Writer) error { w.Touch(time.Now().Add(time.Hour)); return nil })
			if err := errors.Join(ahead, s.Close()); err != nil {
				t.Fatal(err)
			}
			v.open()
			// Twice, so that the version of the backup's is a later one.
			v.update(addCollaborator("A", "B")(v))
			v.update(addCollaborator("A", "B")(v))
			backup := v.backup("backup.db")
			for _, step := range c.after {
				v.update(step(v))
			}
			c.want.SessionsEnded = 1
			if report := v.restore(backup); report.Counts != c.want {
				t.Errorf("it says %+v, want %+v", report.Counts, c.want)
			}
			c.check(t, v)
		})
	}
}
