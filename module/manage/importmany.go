package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	Bounds              ImportBounds
	ExpiresAt           time.Time
	Disabled            bool
}

// ImportBounds are the limits of an imported key, in the form of a request.
type ImportBounds struct {
	Plan      string              `json:"plan,omitempty"`
	Limits    ImportLimits        `json:"limits,omitzero"`
	Addresses []string            `json:"addresses,omitempty"`
	Resources map[string][]string `json:"resources,omitempty"`
}

// ImportLimits are the rate, the quota and the number of concurrent requests of an
// imported key.
type ImportLimits struct {
	Rate       string `json:"rate,omitempty"`
	Quota      string `json:"quota,omitempty"`
	Concurrent int    `json:"concurrent,omitempty"`
}

// read reads the bounds like those of a request. For a key without bounds, it does
// nothing.
func (in *ImportBounds) read(path string) (bounds, error) {
	if in.Plan == "" && in.Limits == (ImportLimits{}) && len(in.Addresses) == 0 && len(in.Resources) == 0 {
		return bounds{path: path}, nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return bounds{}, err
	}
	o, err := parseObject(path, text)
	if err != nil {
		return bounds{}, err
	}
	b := newBounds(o)
	return b, o.end()
}

// ImportOptions say how keys are imported, like the fields of a request.
type ImportOptions struct {
	From                       keys.ImportSource
	CreateMissing, SkipRevoked bool
	DryRun                     bool
	// Others imports the other keys if one is refused.
	Others bool
}

// Import imports keys for the operator, without a request. Keys that exist
// already are skipped. The error is like the answer to a request, with its
// Status: no key was imported.
func (a *API) Import(ctx context.Context, list []ImportKey, o ImportOptions) (done []Imported, err error) {
	in := imports{
		from: o.From, skipExisting: true, skipRevoked: o.SkipRevoked,
		createMissing: o.CreateMissing, dryRun: o.DryRun, others: o.Others,
	}
	in.keys = onAllProcessors(len(list), func(i int) importedKey { return list[i].read(fmt.Sprintf("keys[%d]", i)) })
	if in.from == (keys.ImportSource{}) {
		in.from = sourceOf(in.keys)
	}
	operator := Caller{Operator: true}
	err = a.Directory.Update(ctx, operator.actor(), func(tx *keys.Tx) (err error) {
		if done, err = a.importAll(tx, in); err == nil && in.dryRun {
			err = errDryRun
		}
		return err
	})
	if err != nil && !errors.Is(err, errDryRun) {
		e := refusal(tellNothing(err))
		if e.Cause != nil && a.Failed != nil {
			a.Failed("", e.Cause)
		}
		return nil, e
	}
	return done, nil
}

// read checks a key like one of a request.
func (in *ImportKey) read(path string) importedKey {
	o := &object{path: path}
	k := importedKey{userID: in.UserID}
	k.newKey = newKey{path: path, credential: keys.Credential{
		Description: in.Description, Scopes: union(nil, in.Scopes), Endpoints: union(nil, in.Endpoints),
		ExpiresAt: in.ExpiresAt.UTC(), Disabled: in.Disabled,
	}}
	var err error
	if k.bounds, err = in.Bounds.read(path); err != nil {
		o.fail(err)
	}
	if in.AppID != "" {
		k.apps = []appRef{{path: path + ".apps[0]", id: in.AppID}}
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
