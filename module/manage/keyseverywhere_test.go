package manage_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// everyoneHasKeys is alice's keys, users without keys, and two users with one each,
// of whom one is suspended. It returns the name of alice's first key.
func everyoneHasKeys(t *testing.T) (*service, string) {
	s, _ := manyKeys(t)
	for i := range 30 {
		s.must("POST", "/v2/users", fmt.Sprintf(`{"users":[{"id":"nobody%d"}]}`, i))
	}
	for _, user := range []string{"bob", "carol"} {
		s.must("POST", "/v2/users", fmt.Sprintf(`{"users":[{"id":%q}]}`, user))
		s.must("POST", "/v2/users/"+user+"/keys", fmt.Sprintf(`{"keys":[{"description":%q,"type":"personal_access_token","scopes":["All"]}]}`, user))
	}
	s.must("PATCH", "/v2/users/bob", `{"user":{"suspended":true}}`)
	return s, s.must("GET", "/v2/users/alice/keys", "").Keys[0].Description
}

// The operator lists the keys of all users, with the filters of one user's list.
func TestKeysOfAllUsers(t *testing.T) {
	s, first := everyoneHasKeys(t)
	for query, want := range map[string]string{
		"":                           first + ",maps,full,narrow,off,past,bob,carol",
		"state=active":               first + ",maps,full,narrow,bob,carol",
		"state=expired":              "past",
		"state=revoked":              "gone token,gone",
		"state=revoked&order=newest": "gone,gone token",
		"full_access=false":          "narrow,off,past",
		"never_expires=true&type=personal_access_token": "full,bob,carol",
		"app_id=maps":       "maps,off,past",
		"expires_within=7d": "off",
	} {
		for _, size := range []int{1, 2, 20} {
			if got := strings.Join(s.listed(operator, "/v2/keys", query, size), ","); got != want {
				t.Errorf("%s by %d: %s, want %s", query, size, got, want)
			}
		}
	}
	for _, k := range s.must("GET", "/v2/keys", "").Keys {
		if k.OwnerSuspended != (k.UserID == "bob") || k.ID != k.KeyID {
			t.Errorf("listed as %+v", k)
		}
	}
	if a := s.must("GET", "/v2/keys?per_page=3&page=2", ""); len(a.Keys) != 3 || a.Keys[0].Description != "narrow" || a.Keys[2].Description != "past" {
		t.Errorf("the second page is %s", a.body)
	}
}

// A page continues behind the last key, whatever happened to it and its owner.
// Cursors of other lists are refused.
func TestKeysOfAllUsersContinue(t *testing.T) {
	s, _ := everyoneHasKeys(t)
	next := "/v2/keys?after=" + url.QueryEscape(s.must("GET", "/v2/keys?per_page=2", "").Next)
	if a := s.must("GET", next, ""); a.Keys[0].Description != "full" || len(a.Keys) != 6 {
		t.Errorf("the next page is %s", a.body)
	}
	s.must("DELETE", "/v2/users/alice", "")
	if a := s.must("GET", next, ""); len(a.Keys) != 2 || a.Keys[0].Description != "bob" {
		t.Errorf("without alice it is %s", a.body)
	}
	users := s.must("GET", "/v2/users?per_page=1", "").Next
	for _, after := range []string{"x", users, users + "." + users, next[len("/v2/keys?after=")+1:]} {
		if a := s.call("GET", "/v2/keys?after="+after, ""); a.Status.Field != "after" {
			t.Errorf("%s: %s", after, a.body)
		}
	}
	if a := s.callAs(manage.Caller{}, "GET", "/v2/keys", ""); a.http != http.StatusNotFound {
		t.Errorf("without the role: %s", a.body)
	}
}

// A page reads a bounded number of records, of users without keys too.
func TestKeysOfVeryManyUsers(t *testing.T) {
	s := newService(t)
	for range 11 {
		err := s.api.Directory.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
			for range 1000 {
				if _, err := tx.CreateUser(keys.User{ID: rand.Text()}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	a := s.must("GET", "/v2/keys", "")
	if len(a.Keys) != 0 || a.Next == "" {
		t.Errorf("the first page is %s", a.body)
	}
	if a = s.must("GET", "/v2/keys?after="+url.QueryEscape(a.Next), ""); a.Next != "" {
		t.Errorf("the second page is %s", a.body)
	}
	if a = s.call("GET", "/v2/keys?page=2", ""); a.Status.Field != "page" {
		t.Errorf("a page by number: %s", a.body)
	}
}
