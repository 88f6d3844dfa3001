//go:build linux

package fleettest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// A change of many steps that ends in the middle leaves each key either revoked or as
// it was, and all Caddys agree on it. The change can be made again.
func TestCaddyKilledBetweenSteps(t *testing.T) {
	c := startCaddies(t)
	c.makeAlice(filepath.Join(c.folder, "password"))
	first, second, third := c.list[0], c.list[1], c.list[2]
	for round := range 2 {
		var all []string
		for len(all) < 60 {
			all = append(all, second.makeKeys(t, 10)...)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := first.post("/users/alice/keys/revoke", map[string]any{"app_id": "shop"})
			ended <- err
		}()
		for passed := true; passed; { // until one of the keys is revoked
			passed = second.status(t, all[0]) == http.StatusOK && second.status(t, all[len(all)-1]) == http.StatusOK
		}
		first.Kill()
		err := <-ended
		first.run()
		second.waitFresh()
		third.waitFresh()
		left := 0
		for _, key := range all {
			at := second.status(t, key)
			if at == http.StatusOK {
				left++
			}
			for _, other := range []*caddy{first, third} {
				if status := other.status(t, key); status != at {
					t.Errorf("%s answers a key with %d, and %s with %d", second.host.Name, at, other.host.Name, status)
				}
			}
		}
		t.Logf("round %d: %d of %d keys are left, the call ended with %v", round, left, len(all), err)
		if err == nil && left > 0 {
			t.Errorf("the Caddy answered that all keys were revoked, and %d were not", left)
		}
		if _, err := third.post("/users/alice/keys/revoke", map[string]any{"app_id": "shop"}); err != nil {
			t.Fatal(err)
		}
		for _, key := range all {
			for _, g := range c.list {
				if status := g.status(t, key); status != http.StatusUnauthorized {
					t.Errorf("%s answers a key with %d after all were revoked", g.host.Name, status)
				}
			}
		}
	}
	c.list[2].command(nil, "audit", "--verify")
}

// makeKeys makes keys of the app, and returns their texts.
func (g *caddy) makeKeys(t *testing.T, n int) (texts []string) {
	t.Helper()
	key := map[string]any{"description": "one of many", "scopes": []string{"Inputs:Get"}, "apps": []any{map[string]any{"id": "shop"}}}
	list := make([]any, n)
	for i := range list {
		list[i] = key
	}
	text, err := g.post("/users/alice/keys", map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	var made madeKeys
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatal(err)
	}
	for _, k := range made.Keys {
		texts = append(texts, k.ID)
	}
	return texts
}

// madeKeys is the answer to making keys.
type madeKeys struct {
	Keys []struct {
		ID    string `json:"id"`
		KeyID string `json:"key_id"`
	} `json:"keys"`
}

// post makes a call of the management API at the admin endpoint.
func (g *caddy) post(path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: g.client.Transport, Timeout: deadline}
	resp, err := client.Post("http://"+g.host.Addr()+":2019/api_keys/v2"+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return answer, err
}

// status returns how a request with a key is answered.
func (g *caddy) status(t *testing.T, key string) int {
	t.Helper()
	for end := time.Now().Add(deadline); ; {
		status, err := g.get(t.Context(), ":8080"+someInputs, key)
		if err == nil && status != http.StatusServiceUnavailable { // a Caddy that isn't fresh answers 503
			return status
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %d %v", g.host.Name, status, err)
		}
	}
}
