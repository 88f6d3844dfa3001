package records

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// A replica that replays the primary entries of each change has the same entries
// in all buckets as the store that made them.
func TestReplay(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		store, replica := newSlow(t), &slow{buckets: map[string][]entry{}}
		copyAll(t, store, replica)
		for step := range rapid.IntRange(1, 12).Draw(r, "steps") {
			recorder := NewRecorder(store)
			if _, err := Apply(recorder, 1000, func(w keys.Writer) error { return draw(r, w, step) }); err != nil {
				r.Fatal(err)
			}
			if err := Replay(replica, recorder.Entries()); err != nil {
				r.Fatal(err)
			}
			same(r, store, replica)
		}
		// A replica that begins now is the same too.
		late := &slow{buckets: map[string][]entry{}}
		copyAll(t, store, late)
		same(r, store, late)
		found, err := Examine(context.Background(), late)
		for _, f := range found.Findings {
			if f.Damage {
				r.Fatal(f.Text)
			}
		}
		if err != nil {
			r.Fatal(err)
		}
	})
}

// copyAll replays the primary entries of a store one by one.
func copyAll(t *testing.T, from, to *slow) {
	t.Helper()
	err := Primaries(t.Context(), from, func(e Entry) error { return Replay(to, []Entry{e}) })
	if err != nil {
		t.Fatal(err)
	}
}

func same(r *rapid.T, store, replica *slow) {
	r.Helper()
	for _, name := range slices.Sorted(maps.Keys(store.buckets)) {
		if got, want := fmt.Sprintf("%q", replica.buckets[name]), fmt.Sprintf("%q", store.buckets[name]); got != want {
			r.Fatalf("bucket %s is\n%s\nwant\n%s", name, got, want)
		}
	}
}

// draw makes a few writes of any kind. Names are few, so that they meet.
func draw(r *rapid.T, w keys.Writer, step int) error {
	name := func(what string) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, what) }
	at := time.Unix(int64(1000+step), 0).UTC()
	w.Touch(at)
	for range rapid.IntRange(1, 4).Draw(r, "writes") {
		user, app, id := name("user"), name("app"), name("id")
		digest := credential.DigestOf(id)
		ref := keys.AppRef{OwnerID: user, AppID: app}
		there, err := w.Credential(digest)
		c := keys.Credential{Digest: digest, ID: id, Kind: rapid.SampledFrom(policy.Kinds()).Draw(r, "kind"), UserID: user, AppID: app, CreatedBy: name("by"), CreatedAt: at, ModifiedAt: at, Endpoints: []string{}}
		if err == nil {
			c.Seq = there.Seq
		}
		switch rapid.IntRange(0, 8).Draw(r, "what") {
		case 0:
			u, _ := w.User(user)
			err = w.PutUser(keys.User{ID: user, Name: user, Email: user + "@example.com", CreatedAt: at, ModifiedAt: at, Seq: u.Seq})
		case 1:
			err = w.DeleteUser(user)
		case 2:
			a, _ := w.App(ref)
			err = w.PutApp(keys.App{AppRef: ref, Name: app, CreatedAt: at, ModifiedAt: at, Seq: a.Seq})
		case 3:
			err = w.DeleteApp(ref)
		case 4, 5:
			err = w.PutCredential(c)
		case 6:
			err = w.DeleteCredential(digest)
		case 7:
			err = w.PutTombstone(keys.Tombstone{Digest: digest, ID: id, UserID: user, At: at, Reason: "leaked"})
		default:
			err = w.RetireUser(user)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
