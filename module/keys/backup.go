package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrUnsupported is returned where a store can't do what it is asked for.
var ErrUnsupported = errors.New("this kind of key store has no backup, check or statistics here: use what it comes with")

// Backuper is a [Store] that can be copied while it is used.
type Backuper interface {
	// Backup copies one moment of the store into a file, checks the copy, and
	// only then gives it its path, in the place of a file that is there. Where
	// path is empty it makes a file beside the store, which the caller removes.
	// Where it fails, nothing is left behind.
	Backup(ctx context.Context, path string) (Backup, error)
}

// Backup is a copy of a store that was found to be good.
type Backup struct {
	Path string
	// Size is in bytes, and SHA256 over all of them.
	Size   int64
	SHA256 Digest
	// LastWrite is when the store was last written to before.
	LastWrite time.Time
	// Marked says that the store knows of this backup. Where it could not be
	// written to, it doesn't, and can't be replaced by the backup as its own.
	Marked bool
	// Findings are what is odd in the copy. It is no worse a copy for that: the
	// store has the same.
	Findings []Finding
}

// Examiner is a [Store] that can be looked through.
type Examiner interface {
	// Examine checks one moment of the store from end to end.
	Examine(ctx context.Context) (Examination, error)
	// Count counts what there is. now tells what has expired.
	Count(ctx context.Context, now time.Time) (Stats, error)
}

// Finding is something in a store that should not be so.
type Finding struct {
	// Damage says that what was written is not what is there. Other findings
	// are of records that don't fit together.
	Damage bool   `json:"damage"`
	Text   string `json:"text"`
}

// Examination is what a check found.
type Examination struct {
	// Findings are the first; More is how many there were beyond.
	Findings []Finding
	More     int
	// Records is how many were read.
	Records int
	// LastWrite is when the store was last written to.
	LastWrite time.Time
	// Marked says that it is a backup, unchanged since it was made.
	Marked bool
}

// Damage is the first finding of damage, nil where there is none.
func (e *Examination) Damage() *Finding {
	for i := range e.Findings {
		if e.Findings[i].Damage {
			return &e.Findings[i]
		}
	}
	return nil
}

// Stats counts what there is in a store.
type Stats struct {
	Users          int `json:"users"`
	SuspendedUsers int `json:"suspended_users"`
	RetiredUsers   int `json:"retired_users"`
	Apps           int `json:"apps"`
	// AppKeys, PATs and Sessions are those that are stored, whatever their
	// state.
	AppKeys       KindStats  `json:"app_keys"`
	PATs          KindStats  `json:"personal_access_tokens"`
	Sessions      KindStats  `json:"sessions"`
	Collaborators int        `json:"collaborators"`
	Tombstones    int        `json:"tombstones"`
	AuditEntries  uint64     `json:"audit_entries"`
	AuditFrom     *time.Time `json:"audit_from"` // the oldest entry
	AuditTo       *time.Time `json:"audit_to"`   // the newest
	LastWrite     *time.Time `json:"last_write"`
	FileBytes     int64      `json:"file_bytes"`
	FreeBytes     int64      `json:"free_bytes"` // of the file, to be used again
}

// KindStats counts the credentials of a kind by what they are good for, each
// once: a disabled one of a suspended user is suspended.
type KindStats struct {
	Active    int `json:"active"`
	Disabled  int `json:"disabled"`
	Expired   int `json:"expired"`
	Suspended int `json:"suspended"`
}

// Add counts one.
func (k *KindStats) Add(standing Standing) {
	switch standing {
	case Disabled:
		k.Disabled++
	case Expired:
		k.Expired++
	case Suspended:
		k.Suspended++
	default:
		k.Active++
	}
}

// Total is how many there are.
func (k KindStats) Total() int { return k.Active + k.Disabled + k.Expired + k.Suspended }

// Backup copies the store, as a [Backuper] does, with the last uses that were
// not yet written.
func (d *Directory) Backup(ctx context.Context, path string) (Backup, error) {
	b, ok := d.store.(Backuper)
	if !ok {
		return Backup{}, ErrUnsupported
	}
	// Where nothing can be written, a copy without the newest last uses is worth
	// more than none.
	if err := d.Flush(ctx); err != nil && !errors.Is(err, ErrUnavailable) {
		return Backup{}, err
	}
	return b.Backup(ctx, path)
}

// Examine checks the store, as an [Examiner] does.
func (d *Directory) Examine(ctx context.Context) (Examination, error) {
	e, ok := d.store.(Examiner)
	if !ok {
		return Examination{}, ErrUnsupported
	}
	return e.Examine(ctx)
}

// Count counts what there is in the store, as an [Examiner] does.
func (d *Directory) Count(ctx context.Context) (Stats, error) {
	e, ok := d.store.(Examiner)
	if !ok {
		return Stats{}, ErrUnsupported
	}
	return e.Count(ctx, d.Now())
}

// RecordRestore adds to the audit log that the store was restored from a
// backup, by the operator, and how much of what that changed.
func RecordRestore(w Writer, at time.Time, counts any) error {
	text, err := json.Marshal(counts)
	if err != nil {
		return fmt.Errorf("recording the restore: %w", err)
	}
	var after facts
	if err := json.Unmarshal(text, &after); err != nil {
		return fmt.Errorf("recording the restore: %w", err)
	}
	tx := &Tx{Reader: w, w: w, now: at, actor: Actor{ID: Operator}}
	if err := tx.record(ActionStoreRestore, Subject{}, nil, after); err != nil {
		return err
	}
	w.Touch(at)
	return nil
}
