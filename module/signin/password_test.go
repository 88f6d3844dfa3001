package signin_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-api-keys/gateway/module/signin"
)

func TestHashPassword(t *testing.T) {
	const password = "correct horse battery staple"
	hash, err := signin.HashPassword(t.Context(), password)
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
	again, err := signin.HashPassword(t.Context(), password)
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
			_, err := signin.HashPassword(t.Context(), password)
			var invalid *signin.PasswordError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v, want a PasswordError", err)
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
			if _, err := signin.HashPassword(t.Context(), "one of many passwords"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestHashPasswordGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := signin.HashPassword(ctx, "a good password"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was canceled", err)
	}
}

func TestCheckPassword(t *testing.T) {
	const password = "correct horse battery staple"
	hash, err := signin.HashPassword(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawStdEncoding
	salt := []byte("eight by")
	// As another program may have made it, with other parameters.
	foreign := "$argon2id$v=19$m=64,t=3,p=2$" + text.EncodeToString(salt) + "$" +
		text.EncodeToString(argon2.IDKey([]byte(password), salt, 3, 64, 2, 24))
	// As this program made it before argon2id did.
	stored := "$argon2id$v=19$m=19456,t=2,p=1$CrIIKWqBzzPcsNuVk48f6g$V48wT7fduLV9AVbfibBp5KzLDSckNY5VpHQgzFt/070"
	// The hash against which an unknown user's password is checked.
	decoy := "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct {
		name, hash, password string
		right                bool
	}{
		{"right", hash, password, true},
		{"wrong", hash, "correct horse battery stable", false},
		{"another case", hash, strings.ToUpper(password), false},
		{"shorter", hash, password[:len(password)-1], false},
		{"longer", hash, password + " ", false},
		{"empty", hash, "", false},
		{"longer than any", hash, strings.Repeat(password, 100), false},
		{"no UTF-8", hash, "\xff\xfe", false},
		{"stored before", stored, password, true},
		{"stored before, wrong", stored, password + "x", false},
		{"other parameters", foreign, password, true},
		{"other parameters, wrong", foreign, password + "x", false},
		{"no hash", "", password, false},
		{"no hash, no password", "", "", false},
		{"the decoy", decoy, password, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := signin.Hashed()
			right, err := signin.CheckPassword(t.Context(), c.hash, c.password)
			if err != nil || right != c.right {
				t.Errorf("got %v, %v", right, err)
			}
			if n := signin.Hashed() - before; n != 1 {
				t.Errorf("the password was hashed %d times", n)
			}
		})
	}
}

// malformed are texts that aren't hashes of ours, or ask for more than a hash
// may.
var malformed = map[string]string{
	"clear text":        "correct horse battery staple",
	"bcrypt":            "$2b$12$LQv3c1yqBWVHxkd0LHAkCOYz6TtxMQJqhN8/LewdBPj3bp.XqW4vK",
	"argon2i":           "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"no version":        "$argon2id$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"old version":       "$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"memory":            "$argon2id$v=19$m=65537,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"all the memory":    "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"memory overflows":  "$argon2id$v=19$m=4294967360,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"little memory":     "$argon2id$v=19$m=7,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"memory for a lane": "$argon2id$v=19$m=31,t=1,p=4$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"passes":            "$argon2id$v=19$m=64,t=11,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"no pass":           "$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"lanes":             "$argon2id$v=19$m=64,t=1,p=5$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"lanes overflow":    "$argon2id$v=19$m=64,t=1,p=257$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"no lane":           "$argon2id$v=19$m=64,t=1,p=0$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"negative":          "$argon2id$v=19$m=-64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"leading zero":      "$argon2id$v=19$m=064,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"plus":              "$argon2id$v=19$m=+64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"another order":     "$argon2id$v=19$t=1,m=64,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"one more":          "$argon2id$v=19$m=64,t=1,p=1,x=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"short salt":        "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$AAAAAAAAAAAAAAAAAAAAAA",
	"short key":         "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAA",
	"no key":            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$",
	"long key":          "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + strings.Repeat("AAAA", 22),
	"long":              "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + strings.Repeat("AAAA", 1<<20),
	"something before":  "x$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"after a number":    "$argon2id$v=19$m=64,t=1,p=1 x$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"after the version": "$argon2id$v=19x$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"padded":            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ=$AAAAAAAAAAAAAAAAAAAAAA",
	"stray bits":        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHR$AAAAAAAAAAAAAAAAAAAAAA",
	"line break":        "$argon2id$v=19$m=64,t=1,p=1$c2Fsd\nHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"something follows": "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA$",
}

func TestCheckPasswordOfDamagedHash(t *testing.T) {
	for name, hash := range malformed {
		t.Run(name, func(t *testing.T) {
			before := signin.Hashed()
			right, err := signin.CheckPassword(t.Context(), hash, "a good password")
			if right || !errors.Is(err, signin.ErrHash) {
				t.Errorf("got %v, %v, want that the record is corrupt", right, err)
			}
			if err != nil && strings.Contains(err.Error(), hash) {
				t.Errorf("the error shows the hash: %v", err)
			}
			if signin.Hashed() != before {
				t.Error("it was worked on all the same")
			}
		})
	}
}

func BenchmarkCheckPassword(b *testing.B) {
	hash, err := signin.HashPassword(b.Context(), "a good password")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if right, err := signin.CheckPassword(b.Context(), hash, "a good password"); err != nil || !right {
			b.Fatal(right, err)
		}
	}
}
