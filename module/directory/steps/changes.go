package steps

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// change is a kind of change.
type change struct {
	// prepare makes what only this change needs, where it is not nil.
	prepare func(w *world) error
	// make makes the change to its end. It may have been made in part or as a
	// whole before.
	make func(d *directory.Directory) error
	// ends reports whether a credential or a collaborator ends with it.
	ends func(r register) bool
	// shows reports whether a reader sees that the change was made. It is nil
	// for a change of which nothing else is seen.
	shows func(t *testing.T, r keys.Reader) bool
}

var operator = keys.Actor{ID: keys.Operator}

// changes are all that may need more than one update, each with far more
// records than that takes. All other changes are of one record each.
var changes = map[string]change{
	"delete a user": {
		make:  deletes("alice"),
		ends:  func(r register) bool { return r.isOf("alice") },
		shows: isGone("alice"),
	},
	"delete several users": {
		make:  deletes("alice", "bob"),
		ends:  func(r register) bool { return r.isOf("alice") || r.isOf("bob") },
		shows: isGone("alice"),
	},
	"delete an app": {
		make: func(d *directory.Directory) error {
			err := d.UpdateFirst(context.Background(), operator, func(tx *keys.Tx) error { return tx.DeleteApp(shop) })
			return finish(d, err)
		},
		ends: func(r register) bool { return r.app == shop },
		shows: func(t *testing.T, r keys.Reader) bool {
			_, err := r.App(shop)
			return isNotFound(t, err)
		},
	},
	"change a password": {
		make: func(d *directory.Directory) error {
			return d.UpdateFirst(context.Background(), operator, func(tx *keys.Tx) error {
				_, err := tx.ChangeUser("alice", func(u *keys.User) error { u.PasswordHash = "new"; return nil })
				return err
			})
		},
		ends: func(r register) bool { return r.kind == policy.Session && r.user == "alice" },
		shows: func(t *testing.T, r keys.Reader) bool {
			u, err := r.User("alice")
			if err != nil {
				t.Error(err)
			}
			return u.PasswordHash == "new"
		},
	},
	"end sessions": {
		make: func(d *directory.Directory) error {
			return d.UpdateFirst(context.Background(), operator, func(tx *keys.Tx) error {
				_, err := tx.EndSessions("alice", "ended", func(*keys.Credential) bool { return true })
				return err
			})
		},
		ends: func(r register) bool { return r.kind == policy.Session && r.user == "alice" },
	},
	"accept the clock": {
		prepare: func(w *world) error { return w.sessionsAhead(time.Hour) },
		make: func(d *directory.Directory) error {
			_, err := d.AcceptClock(context.Background(), operator)
			return err
		},
		ends: func(r register) bool { return strings.HasPrefix(r.name, "ahead") },
		shows: func(t *testing.T, r keys.Reader) bool {
			last, err := r.LastWrite()
			if err != nil {
				t.Error(err)
			}
			return time.Until(last) < 30*time.Minute
		},
	},
	"shorten the audit log": {
		make: func(d *directory.Directory) error {
			d.SetAuditRetention(time.Nanosecond)
			return d.Upkeep(context.Background())
		},
		ends: func(register) bool { return false },
	},
}

// deletes is a change that deletes users.
func deletes(users ...string) func(*directory.Directory) error {
	return func(d *directory.Directory) error {
		return finish(d, d.UpdateFirst(context.Background(), operator, func(tx *keys.Tx) error {
			for _, id := range users {
				if err := tx.DeleteUser(id); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// finish finishes what a deletion has begun, also one from before.
func finish(d *directory.Directory, err error) error {
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		return err
	}
	return d.Finish(context.Background())
}

func isGone(id string) func(*testing.T, keys.Reader) bool {
	return func(t *testing.T, r keys.Reader) bool {
		_, err := r.User(id)
		return isNotFound(t, err)
	}
}

func isNotFound(t *testing.T, err error) bool {
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		t.Error(err)
	}
	return err != nil
}
