package memstore

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/directory/steps"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

func TestStore(t *testing.T) {
	for name, open := range map[string]func() (*Store, error){
		"usual": New,
		"small": func() (*Store, error) { return NewSmall(keys.MinWrites) },
	} {
		t.Run(name, func(t *testing.T) {
			keystest.Run(t, func(t *testing.T) keys.Store {
				t.Helper()
				s, err := open()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() }) // the test may have
				return s
			})
		})
	}
}

func TestSteps(t *testing.T) {
	steps.Run(t, func(t *testing.T) keys.Store {
		t.Helper()
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}
