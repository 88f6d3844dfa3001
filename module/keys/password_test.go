package keys_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-api-keys/gateway/module/keys"
)

func TestHashPassword(t *testing.T) {
	const password = "correct horse battery staple"
	hash, err := keys.HashPassword(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" || parts[3] != "m=19456,t=2,p=1" {
		t.Fatalf("hash %s is not PHC's form of argon2id with OWASP's parameters", hash)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil || len(salt) != 16 {
		t.Fatalf("salt %q: %d bytes, %v", parts[4], len(salt), err)
	}
	want := base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(password), salt, 2, 19456, 1, 32))
	if parts[5] != want {
		t.Errorf("the hash is not that of the password and the salt")
	}
	again, err := keys.HashPassword(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	if again == hash {
		t.Error("two hashes of one password are the same: the salt is")
	}
}

func TestHashPasswordRefuses(t *testing.T) {
	for name, password := range map[string]string{
		"empty":         "",
		"short":         "seven77",
		"short in runs": "äöüäöüä",
		"long":          strings.Repeat("x", 1025),
		"not UTF-8":     "password\xff",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keys.HashPassword(t.Context(), password)
			var invalid *keys.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != "password" {
				t.Fatalf("got %v, want an InvalidError of the field password", err)
			}
			if password != "" && strings.Contains(err.Error(), password) {
				t.Errorf("the error repeats the password")
			}
		})
	}
}

func TestHashPasswordManyAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, err := keys.HashPassword(t.Context(), "one of many passwords"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestHashPasswordGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keys.HashPassword(ctx, "a good password"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was canceled", err)
	}
}
