package manage_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Code that shows keys as text shows each field of the API, so a new field of a
// key has to be described.
func TestKeyFieldsAreThoseOfTheAPI(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	key := manage.Key{
		ID: "secret", KeyID: "cak_1", Type: manage.TypeAppKey, UserID: "ada", Description: "one",
		Scopes: []string{"Predict"}, Endpoints: []string{"/a.B/C"}, Apps: []manage.KeyApp{{ID: "photos", UserID: "ada"}},
		Plan: "free", Limits: policy.Limits{Concurrent: 5}, Addresses: []string{"192.0.2.0/24"}, Resources: policy.Values{"model": {"llama-3*"}},
		Disabled: true, CreatedAt: at, ModifiedAt: at, CreatedBy: "cap_1", ExpiresAt: &at,
		LastUsedAt: &at, LastUsedFrom: "192.0.2.1", RotatedFrom: "cak_0", RotatedTo: "cak_2", Version: 7,
	}
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	var answered map[string]any
	if err := json.Unmarshal(text, &answered); err != nil {
		t.Fatal(err)
	}
	// Whole credentials are shown nowhere else than in the answer that has them.
	delete(answered, "id")
	for name, in := range map[string]string{"key_id": "id", "user_id": "user", "apps": "app"} {
		answered[in] = answered[name]
		delete(answered, name)
	}
	for _, f := range manage.KeyFields {
		if _, ok := answered[f.Name]; !ok {
			t.Errorf("%s is described, and no field of a key", f.Name)
		}
		delete(answered, f.Name)
		value := f.Value(&key)
		if text := fmt.Sprint(value); text == "" || text == "<nil>" || text == "secret" {
			t.Errorf("%s is shown as %q", f.Name, text)
		}
		if empty := f.Value(&manage.Key{}); f.Label != "" && f.None == "" && slices.Contains([]string{"[]", "<nil>"}, fmt.Sprint(empty)) {
			t.Errorf("%s has no word for %v", f.Name, empty)
		}
	}
	for name := range answered {
		t.Errorf("%s is a field of a key, and not described", name)
	}
}

// The fields of a key in the audit log and in a merge are shown, too, by the
// same names.
func TestKeyFieldsHaveThoseOfTheRecord(t *testing.T) {
	for _, f := range keys.CredentialFields {
		if !slices.ContainsFunc(manage.KeyFields, func(shown manage.KeyField) bool { return shown.Name == f.Name }) {
			t.Errorf("%s is a field of the record, and isn't shown", f.Name)
		}
	}
}
