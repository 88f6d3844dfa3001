package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// serveAuth runs the service that forward_auth and auth_request ask. It knows the
// keys of a file, one a line, by their hash, and nothing of scopes or apps.
func serveAuth(file string) error {
	known, err := readKnown(file)
	if err != nil {
		return err
	}
	return serveHelper(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Key ")
		user, ok := known[sha256.Sum256([]byte(key))]
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Caller-User-Id", user)
	}))
}

// readKnown reads the keys and their users.
func readKnown(file string) (map[[sha256.Size]byte]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	defer f.Close()
	known := map[[sha256.Size]byte]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, user, _ := strings.Cut(lines.Text(), " ")
		known[sha256.Sum256([]byte(key))] = user
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	return known, nil
}
