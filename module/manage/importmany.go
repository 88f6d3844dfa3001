package manage

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// ImportKey is a key to import, with the fields that a request has for it.
type ImportKey struct {
	// Credential is the whole text, or SHA256 its digest in hexadecimal.
	Credential, SHA256  string
	UserID, AppID, Type string
	Description         string
	Scopes, Endpoints   []string
	ExpiresAt           time.Time
	Disabled            bool
}

// Import imports keys for the operator, without a request. Keys that exist
// already are skipped. A refused key doesn't keep the others from being
// imported, in one change; if Import returns an error, no key was imported.
func (a *API) Import(ctx context.Context, from keys.ImportSource, list []ImportKey, createMissing bool) (done []Imported, err error) {
	in := imports{from: from, skipExisting: true, createMissing: createMissing, others: true}
	in.keys = onAllProcessors(len(list), func(i int) importedKey { return list[i].read() })
	operator := Caller{Operator: true}
	err = a.Directory.Update(ctx, operator.actor(), func(tx *keys.Tx) (err error) {
		done, err = a.importAll(tx, in)
		return err
	})
	return done, err
}

// read checks a key like one of a request.
func (in *ImportKey) read() importedKey {
	o := &object{}
	k := importedKey{userID: in.UserID}
	k.newKey = newKey{credential: keys.Credential{
		Description: in.Description, Scopes: union(nil, in.Scopes), Endpoints: union(nil, in.Endpoints),
		ExpiresAt: in.ExpiresAt.UTC(), Disabled: in.Disabled,
	}}
	if in.AppID != "" {
		k.apps = []appRef{{path: "apps[0]", id: in.AppID}}
	}
	k.readType(o, in.Type)
	if !in.ExpiresAt.IsZero() {
		o.checkYear("expires_at", in.ExpiresAt.UTC())
	}
	if o.err == nil {
		k.check(o, in.Credential, in.SHA256)
	}
	k.refused = o.err
	return k
}

// onAllProcessors makes n values, on all processors.
func onAllProcessors[T any](n int, value func(i int) T) []T {
	values := make([]T, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				values[i] = value(i)
			}
		})
	}
	workers.Wait()
	return values
}
