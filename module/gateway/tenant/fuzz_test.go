package tenant

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var jsonSeeds = []string{
	`{"user_app_id":{"user_id":"bob","app_id":"farm"}}`, `{"User_App_Id":{"USER_ID":"bob"}}`, `{"userAppId":{"userId":"b\u006fb"}}`,
	`{"u\u017fer_app_id":{"u\u017fer_id":"bob"}}`, `[1,{"a":[{}]},null]`, `{"user_app_id":[{"user_id":"a"},{"user_id":"b"}]}`,
	`"x"`, `{"a":1,"a":2}`, `{"a":-0.5e+7,"b":[true,false,null],"c":"\ud83d\ude00\\\""}`, `{"user_id":"bob",`, `{"a":tru`, `{"a":01}`,
	`{"__proto__":{}}`, `{"user_app_id.user_id":"x"}`, `{"user_app_id":null}`, `{"uploads":[{"user_app_id":{"user_id":"x"}}]}`, "\ufeff{}", `{}{}`,
}

// FuzzJSON compares with Go's encoding/json. What it refuses is refused; what it
// decodes, in a struct or in a map, is what was found; and an object that it
// reads is one without equal names.
func FuzzJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add(s)
	}
	b := NewBody(watched[:2])
	f.Fuzz(func(t *testing.T, text string) {
		var owners, apps []string
		invalid := false
		err := b.Read(t.Context(), text, func(found []Found) {
			for _, v := range found {
				invalid = invalid || v.Invalid
				if watched[v.Field].Part == Owner {
					owners = append(owners, v.Value)
				} else {
					apps = append(apps, v.Value)
				}
			}
		})
		if err != nil || invalid || strings.TrimSpace(text) == "" {
			return
		}
		if !json.Valid([]byte(text)) || !utf8.ValidString(text) {
			t.Fatalf("accepted %q, which is not JSON", text)
		}
		var seen struct {
			UserAppID struct {
				UserID string `json:"user_id"`
				AppID  string `json:"app_id"`
			} `json:"user_app_id"`
		}
		if json.Unmarshal([]byte(text), &seen) == nil {
			if id := seen.UserAppID.UserID; id != "" && !slices.Contains(owners, id) {
				t.Fatalf("Go reads the owner %q, found were %q", id, owners)
			}
			if id := seen.UserAppID.AppID; id != "" && !slices.Contains(apps, id) {
				t.Fatalf("Go reads the app %q, found were %q", id, apps)
			}
		}
		if twice(text) {
			t.Fatalf("accepted %q, in which a name is there twice", text)
		}
	})
}

// twice reports whether an object has a name twice.
func twice(text string) bool {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	var seen []map[string]bool
	key := []bool{}
	for {
		token, err := d.Token()
		if err == io.EOF || err != nil {
			return false
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				if len(key) > 0 {
					key[len(key)-1] = true
				}
				key, seen = append(key, v == '{'), append(seen, nil)
				if v == '{' {
					seen[len(seen)-1] = map[string]bool{}
				}
			} else {
				key, seen = key[:len(key)-1], seen[:len(seen)-1]
			}
			continue
		case string:
			if n := len(seen) - 1; n >= 0 && seen[n] != nil && key[n] {
				if seen[n][v] {
					return true
				}
				seen[n][v], key[n] = true, false
				continue
			}
		}
		if n := len(key) - 1; n >= 0 {
			key[n] = true
		}
	}
}

// FuzzRightfulJSON sees that a value that Go writes is accepted, so that no
// ordinary client is refused.
func FuzzRightfulJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add(s)
	}
	b := NewBody(watched)
	f.Fuzz(func(t *testing.T, text string) {
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			return
		}
		written, err := json.Marshal(map[string]any{"inputs": value, "user_app_id": map[string]string{"user_id": "alice"}})
		if err != nil {
			return
		}
		err = b.Read(t.Context(), string(written), func([]Found) {})
		if err == nil || err == ErrDepth || err == ErrReserved {
			return
		}
		if err == ErrName {
			return // it may spell a watched name
		}
		t.Fatalf("%v: %s", err, written)
	})
}

// FuzzSpelling compares the trie with the plain comparison of letters.
func FuzzSpelling(f *testing.F) {
	for _, s := range []string{"user_app_id.user_id", "USER-APP-ID[app_id]", "ｕser_app_id.user_ıd", "user_app_id[0][user_id][]", "user_app_id.user\u00ad_id\x00x", "1user_app_id.user_id"} {
		f.Add(s)
	}
	names := NewNames(watched)
	of := map[string]Part{}
	for _, w := range watched {
		of[Letters(w.Path)] = w.Part
	}
	f.Fuzz(func(t *testing.T, name string) {
		field, found := names.Find(name)
		part, want := of[Letters(name)]
		if want && (!found || watched[field].Part != part) {
			t.Fatalf("%q has the letters of a field (%v) and isn't found", name, slices.Collect(maps.Keys(of)))
		}
		// A name that leads into a field is found by its front.
		if found && !want && !strings.ContainsAny(name, ".[]\x00．［］") && !strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Fatalf("%q is taken for %s", name, watched[field].Path)
		}
	})
}
