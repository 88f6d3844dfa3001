package cmd

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// Offline, keys are handed to the API as they are, without JSON in between.

// direct is the element of an entry that is handed over as it is.
var direct = json.RawMessage("{}")

// keysOf returns the keys that are left in a batch, and their lines.
func keysOf(batch []entry) (list []manage.ImportKey, first, last int) {
	first = math.MaxInt
	for _, e := range batch {
		if e.element != nil {
			list = append(list, e.key)
			first, last = min(first, e.line), max(last, e.line)
		}
	}
	return list, first, last
}

// sendDirectly is send for a store that the command has opened itself.
func (i *keyImport) sendDirectly(ctx context.Context, batch []entry, dryRun bool) ([]manage.Imported, error) {
	list, first, last := keysOf(batch)
	o := manage.ImportOptions{CreateMissing: i.asked["create_missing"] == true, SkipRevoked: i.asked["revoked"] == "skip", DryRun: dryRun}
	if sum, err := hex.DecodeString(i.file); err == nil && len(sum) > 0 {
		o.From = keys.ImportSource{Digest: [32]byte(sum), FirstLine: first, LastLine: last}
	}
	done, err := i.api.offline.Import(ctx, list, o)
	if e, refused := errors.AsType[*manage.Error](err); refused {
		return nil, refusedError(e.Status())
	}
	return done, err
}
