package keystest

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Made in an order that is no other's: not of the ids, nor of their length.
func testOrder(t *testing.T, s keys.Store) {
	var names []string
	var all []any
	for i := range 300 { // past one byte of a seq, and past a page of most stores
		n := strconv.Itoa((i * 7919) % 1000)
		names = append(names, n)
		all = append(all, user(n), app("u", n), appKey("cak_"+n, "u", "a"), token("cap_"+n, "v"),
			collaborator("u", "a", n), collaborator(n, "b", "w"))
	}
	put(t, s, all...)
	view(t, s, func(r keys.Reader) error {
		a := keys.AppRef{OwnerID: "u", AppID: "a"}
		wantOrder(t, "Users", r.Users, names, func(n string) string { return n })
		wantOrder(t, "Apps", of(r.Apps, "u"), names, func(n string) string { return "u/" + n })
		wantOrder(t, "Credentials", of(r.Credentials, "v"), names, func(n string) string { return "cap_" + n })
		wantOrder(t, "AppCredentials", of(r.AppCredentials, a), names, func(n string) string { return "cak_" + n })
		wantOrder(t, "Collaborators", of(r.Collaborators, a), names, func(n string) string { return "u/a+" + n })
		wantOrder(t, "Collaborations", of(r.Collaborations, "w"), names, func(n string) string { return n + "/b+w" })
		return nil
	})
}

// Ids that are the beginning of one another, and joined are the same.
func testPrefixes(t *testing.T, s keys.Store) {
	owners := []string{"a", "ab", "a-b", "a_b", "A", "a-"}
	names := []string{"c", "b-c", "bc", "b", "-b", "b_c"}
	for _, o := range owners {
		for _, n := range names {
			k, p := appKey("cak_"+o+"."+n, o, n), token("cap_"+o+"."+n, o)
			put(t, s, app(o, n), k, p, collaborator(o, n, "x"), collaborator(o, n, o))
		}
	}
	view(t, s, func(r keys.Reader) error {
		for _, o := range owners {
			var all, held, shared []string
			for _, n := range names {
				ref := keys.AppRef{OwnerID: o, AppID: n}
				all = append(all, o+"/"+n)
				held = append(held, "cak_"+o+"."+n, "cap_"+o+"."+n)
				shared = append(shared, o+"/"+n+"+"+o)
				wantIDs(t, "keys of "+o+"/"+n, r.AppCredentials(ref, 0), "cak_"+o+"."+n)
				wantIDs(t, "collaborators of "+o+"/"+n, r.Collaborators(ref, 0), o+"/"+n+"+x", o+"/"+n+"+"+o)
			}
			wantIDs(t, "apps of "+o, r.Apps(o, 0), all...)
			wantIDs(t, "credentials of "+o, r.Credentials(o, 0), held...)
			wantIDs(t, "collaborations of "+o, r.Collaborations(o, 0), shared...)
		}
		wantIDs(t, "apps of nobody", r.Apps("", 0))
		wantIDs(t, "keys of no app", r.AppCredentials(keys.AppRef{OwnerID: "a"}, 0))
		return nil
	})
}

// As when an app is deleted, and its keys with it.
func testDeleteWhileWalking(t *testing.T, s keys.Store) {
	many := min(200, s.MaxWrites())
	var all []any
	for i := range many {
		all = append(all, appKey("cak_"+strconv.Itoa(i), "u", "a"))
	}
	put(t, s, append(all, appKey("cak_other", "u", "b"))...)
	update(t, s, func(w keys.Writer) error {
		n := 0
		for c, err := range w.AppCredentials(keys.AppRef{OwnerID: "u", AppID: "a"}, 0) {
			if err != nil {
				return err
			}
			if err := w.DeleteCredential(c.Digest); err != nil {
				return err
			}
			n++
		}
		if n != many {
			t.Errorf("walked over %d, want %d", n, many)
		}
		return nil
	})
	view(t, s, func(r keys.Reader) error {
		wantIDs(t, "Credentials", r.Credentials("u", 0), "cak_other")
		return nil
	})
}

func testIterators(t *testing.T, s keys.Store) {
	put(t, s, user("1"), user("2"), user("3"), token("cap_1", "1"), token("cap_2", "2"), token("cap_3", "2"))
	view(t, s, func(r keys.Reader) error {
		n := 0
		for _, err := range r.Users(0) {
			if err != nil {
				return err
			}
			n++
			break
		}
		if n != 1 {
			t.Errorf("stopped after %d", n)
		}

		var got []string
		for u, err := range r.Users(0) {
			if err != nil {
				return err
			}
			got = append(got, u.ID)
			got = append(got, ids(t, r.Credentials(u.ID, 0))...)
		}
		if want := []string{"1", "cap_1", "2", "cap_2", "cap_3", "3"}; !slices.Equal(got, want) {
			t.Errorf("nested: got %q, want %q", got, want)
		}

		list := r.Users(0)
		wantIDs(t, "the first walk", list, "1", "2", "3")
		wantIDs(t, "the second", list, "1", "2", "3")
		wantIDs(t, "after the end", r.Users(math.MaxUint64))
		return nil
	})
}
