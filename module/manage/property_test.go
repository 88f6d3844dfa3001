package manage_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

var (
	drawScopes = rapid.SliceOfN(rapid.SampledFrom([]string{"All", "Apps:Get", "Inputs:Get", "Inputs:Add", "Predict", "Secret:Door"}), 0, 4)
	// Two at least of the endpoints that the service knows, some of them twice.
	drawEndpoints = rapid.SliceOfN(rapid.SampledFrom([]string{"/a.B/M0", "/a.B/M1", "/a.B/M2", "/a.B/M3"}), 0, 4)
	drawAction    = rapid.SampledFrom([]string{"merge", "overwrite", "remove"})
)

// set is a list as what it means.
type set map[string]bool

func setOf(list []string) set {
	s := set{}
	for _, v := range list {
		s[v] = true
	}
	return s
}

// changed is what an action makes of a set.
func (s set) changed(act string, given set) set {
	result := set{}
	if act == "overwrite" {
		maps.Copy(result, given)
		return result
	}
	maps.Copy(result, s)
	for v := range given {
		if act == "merge" {
			result[v] = true
		} else {
			delete(result, v)
		}
	}
	return result
}

// complete reports whether every scope has what it needs.
func (s set) complete() bool {
	return s["All"] || (!s["Inputs:Get"] || s["Apps:Get"]) && (!s["Inputs:Add"] || s["Inputs:Get"] && s["Apps:Get"])
}

func inJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only of a mistake in the tests
	}
	return string(text)
}

// Whatever changes follow one another, the lists of a key and of a collaborator
// are what merge, overwrite and remove mean for sets; and what is refused
// changes nothing.
func TestActionsAgainstSets(t *testing.T) {
	s := friends(t)
	for name, kind := range map[string]struct {
		make  func(lists string) string // and what names it
		patch func(id, lists, act string) response
		read  func(id string) ([]string, []string)
	}{
		"key": {
			func(lists string) string {
				return s.must("POST", "/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token",`+lists+`}]}`).Keys[0].KeyID
			},
			func(id, lists, act string) response {
				return s.call("PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q%s}],"action":%q}`, id, lists, act))
			},
			func(id string) ([]string, []string) {
				k := s.must("GET", "/v2/users/alice/keys/"+id, "").Key
				return k.Scopes, k.Endpoints
			},
		},
		"collaborator": {
			func(lists string) string {
				if s.lists() != "" {
					s.must("DELETE", shared, `{"ids":["bob"]}`)
				}
				return s.must("POST", shared, `{"collaborators":[{"user_id":"bob",`+lists+`}]}`).Collaborators[0].ID
			},
			func(id, lists, act string) response {
				return s.call("PATCH", shared, fmt.Sprintf(`{"collaborators":[{"id":%q%s}],"action":%q}`, id, lists, act))
			},
			func(string) ([]string, []string) {
				c := s.must("GET", shared, "").Collaborators[0]
				return c.Scopes, c.Endpoints
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				scopes, endpoints := setOf(drawScopes.Draw(t, "scopes")), setOf(drawEndpoints.Draw(t, "endpoints"))
				if !scopes.complete() {
					scopes["All"] = true
				}
				id := kind.make(fmt.Sprintf(`"scopes":%s,"endpoints":%s`, inJSON(keysOf(scopes)), inJSON(keysOf(endpoints))))
				for range rapid.IntRange(1, 5).Draw(t, "changes") {
					act := drawAction.Draw(t, "action")
					wantScopes, wantEndpoints, lists, refused := scopes, endpoints, "", false
					if rapid.Bool().Draw(t, "gives scopes") {
						given := drawScopes.Draw(t, "given scopes")
						lists += `,"scopes":` + inJSON(append([]string{}, given...))
						wantScopes = scopes.changed(act, setOf(given))
						refused = !wantScopes.complete() || act == "remove" && len(given) > 0 && wantScopes["All"]
					}
					if rapid.Bool().Draw(t, "gives endpoints") {
						given := drawEndpoints.Draw(t, "given endpoints")
						lists += `,"endpoints":` + inJSON(append([]string{}, given...))
						wantEndpoints = endpoints.changed(act, setOf(given))
						// A list must not become none, which is all; and from all
						// nothing can be taken.
						refused = refused || len(endpoints) > 0 && len(wantEndpoints) == 0 || len(endpoints) == 0 && act == "remove" && len(given) > 0
					}
					a := kind.patch(id, lists, act)
					want := manage.CodeOK
					if refused {
						want = manage.CodeInvalid
					} else {
						scopes, endpoints = wantScopes, wantEndpoints
					}
					if a.Status.Code != want {
						t.Fatalf("%s%s answered %s, want %d", act, lists, a.body, want)
					}
					gotScopes, gotEndpoints := kind.read(id)
					if len(gotScopes) != len(scopes) || len(gotEndpoints) != len(endpoints) || !maps.Equal(setOf(gotScopes), scopes) || !maps.Equal(setOf(gotEndpoints), endpoints) {
						t.Fatalf("%s%s left %v %v, want %v %v", act, lists, gotScopes, gotEndpoints, scopes, endpoints)
					}
				}
			})
		})
	}
}

// keysOf is a set as a list that is there, if empty.
func keysOf(s set) []string { return append([]string{}, slices.Sorted(maps.Keys(s))...) }

// listed is what a PATCH takes, which knows no null.
func listed(lists string) string { return strings.ReplaceAll(lists, "null", "[]") }

// within reports whether what a key or a collaborator is granted is no more than what
// a key does, for no longer.
func within(scopes, endpoints []string, expires *time.Time, most *manage.Key) bool {
	for _, v := range scopes {
		if !slices.Contains(most.Scopes, v) && !slices.Contains(most.Scopes, "All") {
			return false
		}
	}
	if len(most.Endpoints) > 0 {
		if len(endpoints) == 0 {
			return false
		}
		for _, v := range endpoints {
			if !slices.Contains(most.Endpoints, v) {
				return false
			}
		}
	}
	return most.ExpiresAt == nil || expires != nil && !expires.After(*most.ExpiresAt)
}

// rates are those of the plans of [bounded].
var rates = map[string]int64{"free": 10, "half": 5}

// rateOf returns the rate of a key in requests a second, without the burst. A key
// without a rate has a higher rate than any other.
func rateOf(k *manage.Key) int64 {
	rate := int64(math.MaxInt64)
	if k.Limits.Rate.N > 0 {
		rate = k.Limits.Rate.N
	}
	if r := rates[k.Plan]; r > 0 {
		rate = min(rate, r)
	}
	return rate
}

// boundedBy reports whether every request within the limits of a key is also within
// those of another.
func boundedBy(t *rapid.T, k, most *manage.Key) bool {
	permits := func(k *manage.Key, from netip.Addr, model string) bool {
		list, err := policy.ParseAddresses(k.Addresses)
		if err != nil {
			t.Fatal(err)
		}
		return list.Contains(from) && k.Resources.Permit("model", model) && (k.Plan != "office" || from.String() != "198.51.100.7")
	}
	for _, from := range []string{"192.0.2.1", "192.0.2.7", "198.51.100.7"} {
		for _, model := range []string{"a", "ab", "b"} {
			if at := netip.MustParseAddr(from); permits(k, at, model) && !permits(most, at, model) {
				return false
			}
		}
	}
	return rateOf(k) <= rateOf(most)
}

// isBounded reports whether a key has any limit.
func isBounded(k *manage.Key) bool {
	return k.Plan != "" || k.Limits.Bounded() || k.Addresses != nil || k.Resources != nil
}

// Whatever a token does, with the keys that it makes and that those make, by
// whatever calls: no key and no collaborator ever grants more than that first
// token did, except those that others made, as they made them.
func TestDelegationNeverGrants(t *testing.T) {
	s := bounded(t)
	users, done := 0, map[string]int{}
	drawFlat := rapid.SliceOfN(rapid.SampledFrom([]string{"All", "Apps:Get", "Predict", "Secret:Door"}), 0, 3)
	drawBounds := rapid.SampledFrom([]string{
		"", "", "", "", `,"limits":{"rate":"10/s"}`, `,"limits":{"rate":"5/s"}`, `,"limits":{"rate":null}`, `,"plan":"free"`, `,"plan":"half"`, `,"plan":"office"`, `,"plan":""`,
		`,"addresses":["192.0.2.0/24"]`, `,"addresses":["192.0.2.1"]`, `,"addresses":[]`,
		`,"resources":{"model":["a*"]}`, `,"resources":{"model":["ab"]}`, `,"resources":{"model":["a","b"]}`, `,"resources":{"model":[]}`,
	})
	drawExpiry := rapid.SampledFrom([]string{`null`, `null`, `null`, `"2100-01-01T00:00:00Z"`, `"2150-01-01T00:00:00Z"`})
	rapid.Check(t, func(t *rapid.T) {
		users++
		user := fmt.Sprintf("user%d", users)
		s.must("POST", "/v2/users", fmt.Sprintf(`{"users":[{"id":%q},{"id":"%sb"},{"id":"%sc"}]}`, user, user, user))
		s.must("POST", "/v2/users/"+user+"/apps", `{"apps":[{"id":"a"}]}`)
		s.must("POST", "/v2/users/"+user+"/apps/a/collaborators", fmt.Sprintf(`{"collaborators":[{"user_id":"%sb","scopes":["All"]}]}`, user))
		at := "/v2/users/" + user
		lists := func() string {
			scopes, endpoints := append([]string{}, drawFlat.Draw(t, "scopes")...), drawEndpoints.Draw(t, "endpoints")
			if rapid.Bool().Draw(t, "no list") { // or almost none would be allowed
				endpoints = nil
			}
			return fmt.Sprintf(`"scopes":%s,"endpoints":%s`, inJSON(scopes), inJSON(endpoints))
		}
		expires, limited := "null", ""
		if rapid.Bool().Draw(t, "limited") { // or almost none could add collaborators
			expires, limited = drawExpiry.Draw(t, "expiry"), drawBounds.Draw(t, "bounds")
		}
		most := s.mustAs(s.signedIn(user), "POST", at+"/keys", fmt.Sprintf(`{"keys":[{"type":"personal_access_token",%s,"expires_at":%s%s},{"type":"personal_access_token","scopes":["All"]}]}`, lists(), expires, limited)).Keys
		first := most[0]
		texts := map[string]string{first.KeyID: first.ID} // what the holder of the first one knows
		state := func() (all map[string]manage.Key, collaborators map[string]manage.Collaborator) {
			all, collaborators = map[string]manage.Key{}, map[string]manage.Collaborator{}
			for _, k := range s.must("GET", at+"/keys?per_page=1000", "").Keys {
				all[k.KeyID] = k
			}
			for _, c := range s.must("GET", at+"/apps/a/collaborators", "").Collaborators {
				collaborators[c.ID] = c
			}
			return all, collaborators
		}
		others, guests := state()
		for range rapid.IntRange(3, 12).Draw(t, "calls") {
			all, _ := state()
			callers := slices.DeleteFunc(slices.Sorted(maps.Keys(texts)), func(id string) bool {
				k, there := all[id]
				return !there || k.Disabled || k.Type != manage.TypePAT
			})
			if len(callers) == 0 {
				return
			}
			caller := s.with(texts[rapid.SampledFrom(callers).Draw(t, "caller")])
			target := rapid.SampledFrom(slices.Sorted(maps.Keys(all))).Draw(t, "target")
			guest := user + rapid.SampledFrom([]string{"b", "c"}).Draw(t, "guest")
			var a response
			call := rapid.SampledFrom([]string{"create", "create app key", "create app", "patch", "rotate", "enable", "add collaborator", "add collaborator", "change", "change", "change"}).Draw(t, "call")
			switch call {
			case "create":
				a = s.callAs(caller, "POST", at+"/keys", fmt.Sprintf(`{"keys":[{"type":"personal_access_token",%s,"expires_at":%s%s}]}`, lists(), drawExpiry.Draw(t, "expiry"), drawBounds.Draw(t, "bounds")))
			case "create app key":
				a = s.callAs(caller, "POST", at+"/keys", fmt.Sprintf(`{"keys":[{"apps":[{"id":"a"}],%s,"expires_at":%s%s}]}`, lists(), drawExpiry.Draw(t, "expiry"), drawBounds.Draw(t, "bounds")))
			case "create app":
				a = s.callAs(caller, "POST", at+"/apps", `{"apps":[{}]}`)
			case "patch":
				a = s.callAs(caller, "PATCH", at+"/keys", fmt.Sprintf(`{"keys":[{"id":%q,%s,"expires_at":%s%s}],"action":%q}`, target, listed(lists()), drawExpiry.Draw(t, "expiry"), drawBounds.Draw(t, "bounds"), drawAction.Draw(t, "action")))
			case "rotate":
				a = s.callAs(caller, "POST", at+"/keys/"+target+"/rotate", rapid.SampledFrom([]string{`{}`, `{"grace":"24h"}`}).Draw(t, "grace"))
			case "enable":
				a = s.callAs(caller, "PATCH", at+"/keys", fmt.Sprintf(`{"keys":[{"id":%q,"disabled":%v}]}`, target, rapid.Bool().Draw(t, "disabled")))
			case "add collaborator":
				a = s.callAs(caller, "POST", at+"/apps/a/collaborators", fmt.Sprintf(`{"collaborators":[{"user_id":%q,%s}]}`, guest, lists()))
			case "change":
				a = s.callAs(caller, "PATCH", at+"/apps/a/collaborators", fmt.Sprintf(`{"collaborators":[{"user_id":%q,%s}],"action":%q}`, guest, listed(lists()), drawAction.Draw(t, "action")))
			}
			if a.http >= 500 {
				t.Fatalf("%s answered %s", call, a.body)
			}
			if a.Status.Code == manage.CodeOK {
				done[call]++
			}
			if a.Key != nil {
				a.Keys = append(a.Keys, *a.Key)
			}
			for _, k := range a.Keys {
				if k.ID != k.KeyID {
					texts[k.KeyID] = k.ID
				}
			}
			keys, collaborators := state()
			for id, k := range keys {
				o, there := others[id]
				if there && k.Disabled && inJSON([]any{o.Scopes, o.Endpoints, o.ExpiresAt}) == inJSON([]any{k.Scopes, k.Endpoints, k.ExpiresAt}) &&
					boundedBy(t, &k, &o) {
					continue // every manager of a key may disable it
				}
				if (!there || inJSON(o) != inJSON(k)) && !(within(k.Scopes, k.Endpoints, k.ExpiresAt, &first) && boundedBy(t, &k, &first)) {
					t.Fatalf("after %s there is %s, though the first token was %s", call, inJSON(k), inJSON(first))
				}
			}
			for id, c := range collaborators {
				if o, there := guests[id]; (!there || inJSON(o) != inJSON(c)) && (isBounded(&first) || !within(c.Scopes, c.Endpoints, nil, &first)) {
					t.Fatalf("after %s there is %s, though the first token was %s", call, inJSON(c), inJSON(first))
				}
			}
		}
	})
	t.Logf("allowed: %v", done)
	for _, call := range []string{"create", "create app key", "create app", "patch", "rotate", "enable", "add collaborator", "change"} {
		if done[call] == 0 {
			t.Errorf("%s was never allowed, so this tests nothing of it (%v)", call, done)
		}
	}
}
