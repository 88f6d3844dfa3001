package keystest

import (
	"reflect"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// today is the day of the suite.
var today = keys.DateOf(at(0))

// requestsOf are the requests of a credential on a day: allowed ones, and one
// that was refused.
func requestsOf(text string, on keys.Date, allowed uint64) keys.Use {
	a := keys.Activity{}
	a.Allow(on, allowed)
	a.Refuse(on, keys.NewCause("scopes", []string{"Inputs:Get"}, nil), 1)
	return keys.Use{Digest: credential.DigestOf(text), Activity: a}
}

func wantActivity(t *testing.T, s keys.Store, text string, want keys.Activity) {
	t.Helper()
	view(t, s, func(r keys.Reader) error {
		got, err := r.Activity(credential.DigestOf(text))
		if want == nil {
			wantNotFound(t, "Activity", got, err)
		} else if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Activity of %s: got %v, %v; want %v", text, got, err, want)
		}
		return nil
	})
}

// Activity is added, until it is too old or its credential is gone.
func testActivity(t *testing.T, s keys.Store) {
	put(t, s, token("cap_1", "u"), token("cap_2", "u"))
	wantActivity(t, s, "cap_1", nil)
	used(t, s, requestsOf("cap_1", today-1, 5), requestsOf("unknown", today, 1))
	used(t, s, requestsOf("cap_1", today, 2), requestsOf("cap_1", today, 3), requestsOf("cap_2", today-20, 1))
	var want keys.Activity
	for _, use := range []keys.Use{requestsOf("cap_1", today-1, 5), requestsOf("cap_1", today, 2), requestsOf("cap_1", today, 3)} {
		want.Add(use.Activity)
	}
	wantActivity(t, s, "cap_1", want)
	wantActivity(t, s, "unknown", nil)
	view(t, s, func(r keys.Reader) error { // which were not used for themselves
		last, err := r.LastUsed(credential.DigestOf("cap_1"))
		wantNotFound(t, "LastUsed", last, err)
		return nil
	})

	// A use without activity leaves it, and a change of the credential too.
	used(t, s, useOf("cap_1", 5))
	c := token("cap_1", "u")
	c.Disabled = true
	put(t, s, c)
	wantActivity(t, s, "cap_1", want)

	// What is too old goes, the whole record with the last of it.
	used(t, s, keys.Use{Digest: c.Digest, Today: today + keys.ActivityDays - 1}, keys.Use{Digest: credential.DigestOf("cap_2"), Today: today + keys.ActivityDays})
	wantActivity(t, s, "cap_1", want[1:])
	wantActivity(t, s, "cap_2", nil)

	update(t, s, func(w keys.Writer) error { return w.DeleteCredential(c.Digest) })
	wantActivity(t, s, "cap_1", nil)
	put(t, s, c)
	wantActivity(t, s, "cap_1", nil)
}

// The list of all activity can be read on from anywhere.
func testActivities(t *testing.T, s keys.Store) {
	names := []string{"cap_1", "cap_2", "cap_3", "cap_4"}
	for _, name := range names {
		put(t, s, token(name, "u"))
		used(t, s, requestsOf(name, today, 1))
	}
	view(t, s, func(r keys.Reader) error {
		found := map[credential.Digest]bool{}
		var last credential.Digest
		for range names {
			for a, err := range r.Activities(last) {
				if err != nil || found[a.Digest] || !reflect.DeepEqual(a.Activity, requestsOf("", today, 1).Activity) {
					t.Errorf("Activities: got %v, %v", a, err)
				}
				last, found[a.Digest] = a.Digest, true
				break
			}
		}
		for a, err := range r.Activities(last) {
			t.Errorf("Activities: one too many, %v, %v", a, err)
		}
		for _, name := range names {
			if !found[credential.DigestOf(name)] {
				t.Errorf("Activities: %s is missing", name)
			}
		}
		return nil
	})
}
