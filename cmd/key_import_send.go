package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// send sends a batch to the API.
func (i *keyImport) send(ctx context.Context, batch []entry, dryRun bool) ([]manage.Imported, error) {
	list := make([]json.RawMessage, 0, len(batch))
	first, last := math.MaxInt, 0
	for _, e := range batch {
		if e.element != nil {
			list = append(list, e.element)
			first, last = min(first, e.line), max(last, e.line)
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	done, err := i.patiently(ctx, func(ctx context.Context) ([]manage.Imported, error) {
		if i.api.offline != nil {
			return i.sendDirectly(ctx, batch, dryRun)
		}
		body := map[string]any{"keys": list, "dry_run": dryRun}
		if i.file != "" {
			body["file"] = map[string]any{"sha256": i.file, "first_line": first, "last_line": last}
		}
		maps.Copy(body, i.asked)
		_, answer, err := i.api.askAt(ctx, "POST", []string{"keys", "import"}, nil, body)
		if err != nil {
			return nil, err
		}
		return answer.Imported, nil
	})
	if err == nil && len(done) != len(list) {
		err = fmt.Errorf("%s answered for %d of %d keys", i.api.where, len(done), len(list))
	}
	return done, err
}

// firstPause is the first pause before a retry. Each pause is twice as long as
// the one before, and all together take about two minutes.
var firstPause = time.Second

const maxPauses = 7

// patiently retries while the API can't answer. An interrupt doesn't cancel a
// request that was sent. If the answer to an imported batch was lost, the retry
// finds its keys in the store.
func (i *keyImport) patiently(ctx context.Context, send func(context.Context) ([]manage.Imported, error)) ([]manage.Imported, error) {
	pause := firstPause
	for n := 0; ; n++ {
		done, err := send(context.WithoutCancel(ctx))
		if err == nil {
			i.answered = true
			return done, nil
		}
		if !i.passing(err) || n == maxPauses {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// passing reports whether a failure may be temporary.
func (i *keyImport) passing(err error) bool {
	if r, ok := errors.AsType[refusedError](err); ok {
		return r.Code == manage.CodeUnavailable
	}
	_, connection := errors.AsType[*url.Error](err)
	return connection && i.answered
}
