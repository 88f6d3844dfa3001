package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/cmd/migrate"
	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// keyImport is a running import.
type keyImport struct {
	*call
	options             migrate.Options
	dryRun, skipInvalid bool
	// asked are the fields of a request, without the keys.
	asked  map[string]any
	report *report
	bar    *bar
	// build is the store that is built, or nil if batches are imported into one.
	build *boltstore.Build
	// most is how many keys a request may have.
	most int
	// file is the SHA-256 of the file, once the whole of it was read.
	file string
	// answered is true once the API has answered, so that a connection that
	// fails now is one that may come back.
	answered bool
}

// entry is a key of the file, or a problem with one.
type entry struct {
	line    int
	name    string // in the file
	user    string
	key     manage.ImportKey // offline
	element json.RawMessage  // nil if there is no key to import
	problem *migrate.Problem
	outcome string // of a check
}

// The largest batches. Other changes to a running Caddy wait for a batch to end,
// so batchKeys is small. batchKeysOffline is for a file that goes into a store
// nobody else has open; it is the API's limit for one request. batchBytes stays
// far below the API's limit.
const (
	batchKeys        = 1000
	batchKeysOffline = 10_000
	batchBytes       = 4 << 20
)

// pass reads the file once, and calls do with each batch.
func (i *keyImport) pass(ctx context.Context, source io.Reader, do func(context.Context, []entry) error) error {
	counted := &countingReader{source: source}
	var batch []entry
	size, read := 0, 0
	flush := func() error {
		if err := do(ctx, batch); err != nil {
			return err
		}
		i.bar.at(read, counted.n)
		clear(batch)
		batch, size = batch[:0], 0
		return ctx.Err()
	}
	err := migrate.Read(counted, i.options, func(k migrate.Record, p *migrate.Problem) error {
		e := entry{line: k.Line, name: k.Name, user: k.User, problem: p}
		if p != nil {
			e.line = p.Line
		} else {
			if err := i.fill(&e, k); err != nil {
				return err
			}
		}
		batch = append(batch, e)
		if p == nil || !p.Warning {
			read++
		}
		if size += len(e.element); len(batch) < i.most && size < batchBytes {
			return nil
		}
		return flush()
	})
	if err == nil && len(batch) > 0 {
		err = flush()
	}
	i.bar.clear()
	if err == nil && read == 0 {
		err = fmt.Errorf("no keys were found: is this of the format %s?", i.options.Format)
	}
	return err
}

// fill gives an entry its key, in the form in which it is imported.
func (i *keyImport) fill(e *entry, k migrate.Record) (err error) {
	if i.api.offline == nil {
		e.element, err = json.Marshal(elementOf(k))
		return err
	}
	e.element = direct
	e.key = manage.ImportKey{
		Credential: k.Credential, SHA256: k.SHA256, UserID: k.User, AppID: k.App, Type: k.Type,
		Description: k.Description, Scopes: k.Scopes, Endpoints: k.Endpoints, ExpiresAt: k.ExpiresAt, Disabled: k.Disabled,
		Bounds: boundsOfRecord(&k),
	}
	return nil
}

func boundsOfRecord(k *migrate.Record) manage.ImportBounds {
	return manage.ImportBounds{
		Plan: k.Plan, Limits: manage.ImportLimits{Rate: k.Rate, Quota: k.Quota, Concurrent: k.Concurrent},
		Addresses: k.Addresses, Resources: k.Resources,
	}
}

// elementOf returns a key as the API expects it.
func elementOf(k migrate.Record) map[string]any {
	e := map[string]any{"user_id": k.User, "type": k.Type, "description": k.Description, "scopes": k.Scopes, "disabled": k.Disabled}
	if k.Credential != "" {
		e["credential"] = k.Credential
	} else {
		e["sha256"] = k.SHA256
	}
	if k.App != "" {
		e["apps"] = []any{map[string]string{"id": k.App}}
	}
	if len(k.Endpoints) > 0 {
		e["endpoints"] = k.Endpoints
	}
	if !k.ExpiresAt.IsZero() {
		e["expires_at"] = k.ExpiresAt.Format(time.RFC3339Nano)
	}
	b := boundsOfRecord(&k)
	if b.Plan != "" {
		e["plan"] = b.Plan
	}
	if b.Limits != (manage.ImportLimits{}) {
		e["limits"] = b.Limits
	}
	if len(b.Addresses) > 0 {
		e["addresses"] = b.Addresses
	}
	if len(b.Resources) > 0 {
		e["resources"] = b.Resources
	}
	return e
}

// check asks the API for the outcomes of a batch, and reports them. It removes
// refused keys from the batch.
func (i *keyImport) check(ctx context.Context, batch []entry) error {
	if err := i.inParts(ctx, batch, i.judge); err != nil {
		return err
	}
	for n := range batch {
		i.bar.clear()
		i.report.add(&batch[n])
	}
	return nil
}

// judge is check without a report.
func (i *keyImport) judge(ctx context.Context, batch []entry) error {
	done, err := i.send(ctx, batch, true)
	if err != nil {
		return err
	}
	for n := range batch {
		e := &batch[n]
		if e.element == nil {
			continue
		}
		e.judged(done[0])
		done = done[1:]
	}
	return nil
}

// judged keeps what the API says of a key.
func (e *entry) judged(one manage.Imported) {
	e.outcome = one.Outcome
	switch {
	case one.Refusal != nil:
		e.element = nil
		e.problem = &migrate.Problem{Line: e.line, Field: column(one.Refusal.Field), Reason: inFlags(one.Refusal.Details)}
	case one.Warning != "":
		e.problem = &migrate.Problem{Line: e.line, Field: "credential", Reason: one.Warning}
	}
}

// apply imports the keys that are left in a batch, either all or none. Problems
// found by the check of the file are found again.
func (i *keyImport) apply(ctx context.Context, batch []entry) error {
	return i.inParts(ctx, batch, i.applyPart)
}

// inParts does something with a batch, and halves a batch that is more than the
// key store can change at once. The batches that follow are no larger.
func (i *keyImport) inParts(ctx context.Context, batch []entry, do func(context.Context, []entry) error) error {
	err := do(ctx, batch)
	r, refused := errors.AsType[refusedError](err)
	if !refused || r.Code != manage.CodeTooLarge || len(batch) < 2 {
		return err
	}
	half := len(batch) / 2
	i.most = min(i.most, half)
	if err := i.inParts(ctx, batch[:half], do); err != nil {
		return err
	}
	return i.inParts(ctx, batch[half:], do)
}

// applyPart is apply for one request.
func (i *keyImport) applyPart(ctx context.Context, batch []entry) error {
	for {
		done, err := i.send(ctx, batch, false)
		if err == nil {
			i.bar.clear()
			for _, e := range batch {
				if e.element != nil {
					i.report.became(&e, done[0])
					done = done[1:]
				}
			}
			return nil
		}
		n, refused := refusedElement(err)
		if !refused {
			return err
		}
		if !i.skipInvalid {
			return i.atLine(batch, n, err)
		}
		left := remaining(batch)
		if err := i.judge(ctx, batch); err != nil {
			return err
		}
		if remaining(batch) == left { // the key was refused, and now it isn't
			return err
		}
	}
}

func remaining(batch []entry) (n int) {
	for _, e := range batch {
		if e.element != nil {
			n++
		}
	}
	return n
}

// refusedElement returns the index of the key that the API refused.
func refusedElement(err error) (n int, ok bool) {
	r, ok := errors.AsType[refusedError](err)
	if !ok {
		return 0, false
	}
	_, scanErr := fmt.Sscanf(r.Field, "keys[%d]", &n)
	return n, scanErr == nil
}

// atLine adds the line to the refusal of the n-th key of a request.
func (i *keyImport) atLine(batch []entry, n int, err error) error {
	var r refusedError
	errors.As(err, &r)
	for _, e := range batch {
		if e.element == nil {
			continue
		}
		if n--; n < 0 {
			return fmt.Errorf("line %d: %s", e.line, strings.TrimPrefix(r.Details, r.Field+": "))
		}
	}
	return err
}

// inFlags replaces field names in the API's advice by the command's flags.
func inFlags(details string) string {
	details = strings.ReplaceAll(details, "create_missing", "--create-missing")
	details = strings.ReplaceAll(details, manage.EarlierKey, "a key of an earlier line")
	if strings.HasSuffix(details, keys.ErrRevoked.Error()) {
		details += ", or pass over it with --skip-revoked"
	}
	return details
}

// column returns the file's column for a field of the API.
func column(field string) string {
	switch {
	case field == "user_id":
		return "user"
	case strings.HasPrefix(field, "apps"):
		return "app"
	}
	return field
}

// countingReader counts the bytes read.
type countingReader struct {
	source io.Reader
	n      int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.source.Read(p)
	r.n += int64(n)
	return n, err
}
