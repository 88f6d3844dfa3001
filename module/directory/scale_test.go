package directory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// BenchmarkScale measures how the cache serves the keys of the store in the file
// SCALE_STORE: how often it has the key that is looked up, and how long a
// look-up takes, if all keys are used equally often and if a few are used more
// than others. As many look-ups as are measured fill the cache before.
//
//	SCALE_STORE=keys.db go test -run '^$' -bench Scale -benchtime 1000000x -timeout 0 ./module/directory
func BenchmarkScale(b *testing.B) {
	path := os.Getenv("SCALE_STORE")
	if path == "" {
		b.Skip("SCALE_STORE is not set")
	}
	all := digestsOf(b, path)
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	zipf := rand.NewZipf(random, 1.01, 1, uint64(len(all)-1))
	for name, next := range map[string]func() int{
		"uniform": func() int { return random.IntN(len(all)) },
		"Zipf":    func() int { return int(zipf.Uint64()) },
	} {
		for _, mib := range []int64{16, 64, 256} {
			b.Run(fmt.Sprintf("%s/%dMiB", name, mib), func(b *testing.B) {
				d := openScale(b, path, mib<<20)
				order := make([]int32, 2*b.N) // to draw a number takes as long as a look-up
				for i := range order {
					order[i] = int32(next())
				}
				for _, i := range order[:b.N] {
					lookUp(b, d, all[i])
				}
				before := d.Loads()
				b.ResetTimer()
				for _, i := range order[b.N:] {
					lookUp(b, d, all[i])
				}
				b.ReportMetric(100-100*float64(d.Loads()-before)/float64(b.N), "%hits")
			})
		}
	}
}

func openScale(b *testing.B, path string, cacheBytes int64) *directory.Owned {
	b.Helper()
	store, err := boltstore.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	d, err := directory.New(store, cacheBytes)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	return d
}

func lookUp(b *testing.B, d *directory.Owned, digest credential.Digest) {
	if _, err := d.Find(context.Background(), digest); err != nil {
		b.Fatal(err)
	}
}

// digestsOf returns the digests of all keys in a store.
func digestsOf(b *testing.B, path string) (all []credential.Digest) {
	b.Helper()
	store, err := boltstore.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	err = store.View(b.Context(), func(r keys.Reader) error {
		for user, err := range r.Users(0) {
			if err != nil {
				return err
			}
			for c, err := range r.Credentials(user.ID, 0) {
				if err != nil {
					return err
				}
				all = append(all, c.Digest)
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	return all
}
