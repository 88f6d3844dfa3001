package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// keyStore is a store file and the keys in it.
type keyStore struct {
	*keyring
	file string
}

// makeStore mints keys and makes a store file with them, by the commands and
// calls that its operator has for that.
func (b *bench) makeStore(count int) (*keyStore, error) {
	folder, err := b.newFolder("store")
	if err != nil {
		return nil, err
	}
	k, err := newKeyring(folder, count, b.options.used)
	if err != nil {
		return nil, err
	}
	site, err := b.site(folder)
	if err != nil {
		return nil, err
	}
	site.gate, site.store = true, filepath.Join(folder, "keys.db")
	if err := site.write(); err != nil {
		return nil, err
	}
	b.progress("Importing %d keys ...", count)
	cmd := exec.Command(b.caddy, "api-keys", "key", "import", k.imported, "--create-missing", "--db", site.store, "--config", site.file(), "--adapter", "caddyfile")
	cmd.Env = b.environment(folder)
	if out, err := b.output(cmd); err != nil {
		return nil, fmt.Errorf("importing the keys: %w: %s", err, out)
	}
	return &keyStore{k, site.store}, b.addCollaborators(k, site)
}

// addCollaborators starts a gate, and has it add the collaborators.
func (b *bench) addCollaborators(k *keyring, site caddySite) error {
	gate, err := b.startCaddy("gate", b.caddy, site)
	if err != nil {
		return err
	}
	defer b.stop(gate)
	for n := range k.collaborated() {
		path := fmt.Sprintf("/api_keys/v2/users/%s/apps/%s/collaborators", owner(n), appID)
		body := map[string]any{"collaborators": []any{map[string]any{"user_id": collaborator(n), "scopes": []string{"All"}}}}
		if err := askAdmin(site.socket(), path, body); err != nil {
			return fmt.Errorf("adding a collaborator: %w", err)
		}
	}
	return nil
}

// adminClient returns a client of the admin endpoint at a Unix socket.
func adminClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
}

// askAdmin makes a call of the management API at an admin endpoint.
func askAdmin(socket, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing the request: %w", err)
	}
	resp, err := adminClient(socket).Post("http://127.0.0.1"+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(resp.Body) // as much as there is
		return fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return nil
}

// copyFile copies a file.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copying a file: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("copying a file: %w", err)
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return fmt.Errorf("copying a file: %w", err)
	}
	return out.Close()
}
