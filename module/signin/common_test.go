package signin_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/signin"
)

func TestCommonPasswordsAreRefused(t *testing.T) {
	about := []string{"ada-l", "ada.lovelace@engines.example", "Ada King"}
	for _, password := range []string{
		"password", "Password1", "P@ssw0rd!", "passw0rd123", "12345678", "87654321", "123456789012", "11111111", "aaaaaaaaaaaa", "abababab", "abcabcabc",
		"qwertyuiop", "qwerty123456", "1q2w3e4r5t", "1qaz2wsx", "zxcvbnm1", "asdfghjkl;", "abcdefgh", "Summer2024", "Winter2025!", "January2024!",
		"admin1234", "Administrator", "welcome1", "Welcome2024!", "letmein!", "iloveyou2", "changeme", "changeme123", "football1", "monkey123", "dragon88",
		"19901231", "lovelace1815", "adalovelace", "Ada.Lovelace@engines.example", "ada-l-2024", "engines2024", "engines!engines", "caddy2024", "apikeys1",
		"sunshine_1", "trustno1", "superman!", "Passwort1", "qwertz123", "azerty123", "test1234", "root1234",
	} {
		_, err := signin.HashPassword(t.Context(), password, about...)
		var invalid *signin.PasswordError
		if !errors.As(err, &invalid) {
			t.Errorf("%q: %v", password, err)
			continue
		}
		if !strings.Contains(err.Error(), "unrelated words") || password != "password" && strings.Contains(err.Error(), password) {
			t.Errorf("%q: %v", password, err)
		}
	}
	// A password is refused for its form alone, so hashing is not needed to see
	// that it would be accepted: a context that is over ends it.
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, password := range []string{
		"correct horse battery staple", "kT9$vbQ2xW", "tr4verse the moor", "another password", "a long password", "bob's own password",
		"dragon monkey football", "lovelace wrote the notes", "mulberry7", "193847561029", "пароль-от-моря", strings.Repeat("mulberry", 100),
	} {
		_, err := signin.HashPassword(over, password, about...)
		var invalid *signin.PasswordError
		if errors.As(err, &invalid) {
			t.Errorf("%q is refused: %v", password, err)
		}
	}
	if _, err := signin.HashPassword(over, "lovelace1815"); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody else's name: %v", err)
	}
}
