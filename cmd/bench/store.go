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

// makeStore makes a store file with the keys of the keyring. It starts a gate for
// that, and asks it as its operator does.
func (b *bench) makeStore() error {
	b.store = filepath.Join(b.folder, "keys.db")
	folder, err := b.newFolder("making")
	if err != nil {
		return err
	}
	site, err := b.site(folder)
	if err != nil {
		return err
	}
	site.gate, site.store = true, b.store
	gate, err := b.startCaddy("gate", b.caddy, site)
	if err != nil {
		return err
	}
	defer b.stop(gate)
	b.progress("Importing %d keys ...", b.keyring.count)
	cmd := exec.Command(b.caddy, "api-keys", "key", "import", b.keyring.imported, "--create-missing", "--address", site.admin())
	cmd.Env = b.environment(folder)
	if out, err := b.output(cmd); err != nil {
		return fmt.Errorf("importing the keys: %w: %s", err, out)
	}
	for n := range b.keyring.collaborated() {
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
