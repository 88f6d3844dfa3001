package keys_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// A new field of a credential is described, or named here as one that neither
// its holder chooses nor a backup may widen.
func TestEveryFieldOfACredentialIsDescribed(t *testing.T) {
	given := map[string]string{"Kind": "type"}
	kept := []string{"Digest", "ID", "UserID", "AppID", "CreatedAt", "ModifiedAt", "Version", "Seq", "Idle", "Address", "UserAgent", "Origin"}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[keys.Credential]()) {
		if slices.Contains(kept, f.Name) {
			continue
		}
		name := given[f.Name]
		described := slices.ContainsFunc(keys.CredentialFields, func(d keys.Field) bool {
			return d.Name == name || strings.EqualFold(strings.ReplaceAll(d.Name, "_", ""), f.Name)
		})
		if !described {
			t.Errorf("%s isn't described", f.Name)
		}
	}
}

// A narrowed credential grants what both records grant.
func TestNarrow(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	for _, row := range []struct {
		name          string
		c, than, want keys.Credential
	}{
		{name: "the same", c: keys.Credential{Scopes: []string{"A"}}, than: keys.Credential{Scopes: []string{"A"}}, want: keys.Credential{Scopes: []string{"A"}}},
		{name: "scopes", c: keys.Credential{Scopes: []string{"A", "B"}}, than: keys.Credential{Scopes: []string{"B", "C"}}, want: keys.Credential{Scopes: []string{"B"}}},
		{name: "All", c: keys.Credential{Scopes: []string{"All"}}, than: keys.Credential{Scopes: []string{"B"}}, want: keys.Credential{Scopes: []string{"B"}}},
		{name: "of All", c: keys.Credential{Scopes: []string{"A"}}, than: keys.Credential{Scopes: []string{"All"}}, want: keys.Credential{Scopes: []string{"A"}}},
		{name: "endpoints", c: keys.Credential{}, than: keys.Credential{Endpoints: []string{"/a.B/C"}}, want: keys.Credential{Endpoints: []string{"/a.B/C"}}},
		{name: "no endpoint left", c: keys.Credential{Endpoints: []string{"/a.B/C"}}, than: keys.Credential{Endpoints: []string{"/a.B/D"}}, want: keys.Credential{Endpoints: []string{}, Disabled: true}},
		{name: "disabled", c: keys.Credential{}, than: keys.Credential{Disabled: true}, want: keys.Credential{Disabled: true}},
		{name: "disabled before", c: keys.Credential{Disabled: true}, than: keys.Credential{}, want: keys.Credential{Disabled: true}},
		{name: "an expiry", c: keys.Credential{}, than: keys.Credential{ExpiresAt: early}, want: keys.Credential{ExpiresAt: early}},
		{name: "an earlier expiry", c: keys.Credential{ExpiresAt: late}, than: keys.Credential{ExpiresAt: early}, want: keys.Credential{ExpiresAt: early}},
		{name: "a later expiry", c: keys.Credential{ExpiresAt: early}, than: keys.Credential{ExpiresAt: late}, want: keys.Credential{ExpiresAt: early}},
		{name: "no expiry", c: keys.Credential{ExpiresAt: early}, than: keys.Credential{}, want: keys.Credential{ExpiresAt: early}},
		{name: "words grant nothing", c: keys.Credential{Description: "a"}, than: keys.Credential{Description: "b"}, want: keys.Credential{Description: "a"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := row.c
			had := got.Narrow(&row.than)
			row.want.Scopes, got.Scopes = slices.Concat(row.want.Scopes), slices.Concat(got.Scopes)
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("left %+v", got)
			}
			if changed := !reflect.DeepEqual(row.c, got); had != changed && len(row.c.Scopes) > 0 {
				t.Errorf("it had more: %v", had)
			}
		})
	}
}
