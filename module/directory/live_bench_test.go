package directory_test

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/memstore"
)

// BenchmarkAdmit is what it costs a request that it can be ended: it is put on
// the list, and taken off.
func BenchmarkAdmit(b *testing.B) {
	store, err := memstore.New()
	if err != nil {
		b.Fatal(err)
	}
	d, err := directory.New(store, directory.DefaultCacheBytes)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	var entries []*directory.Entry
	for range 1000 {
		e, err := d.Find(b.Context(), newKey().Digest) // one that isn't there will do
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, e)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var r request
		for i := 0; pb.Next(); i++ {
			if !d.Admit(&r.live, &r, entries[i%len(entries)], nil, nil) {
				b.Error("not admitted")
				return
			}
			d.Leave(&r.live)
		}
	})
}
