package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// ErrUnsupported is returned if a store doesn't support an operation.
var ErrUnsupported = errors.New("this kind of key store has no backup, check or statistics here: use what it comes with")

// Backuper is a [Store] that can be copied while it is in use.
type Backuper interface {
	// Backup copies one revision of the store into a file, checks the copy, and
	// only then moves it to path, replacing an existing file. If path is empty,
	// it makes a file next to the store, which the caller removes. If it fails,
	// it leaves no file behind.
	Backup(ctx context.Context, path string) (Backup, error)
}

// Backup describes a copy of a store that passed its check.
type Backup struct {
	Path string
	// Size is the number of bytes. SHA256 is their hash.
	Size   int64
	SHA256 credential.Digest
	// Records is the number of records.
	Records int
	// LastWrite is the time of the last write before the backup.
	LastWrite time.Time
	// Marked is true if the store recorded this backup. A store that could not
	// be written to didn't, so it can't be replaced by the backup as its own.
	Marked bool
	// Findings are the inconsistencies in the copy. The store has the same
	// ones, so the copy is still faithful.
	Findings []Finding
}

// Examiner is a [Store] that can be checked.
type Examiner interface {
	// Examine checks one revision of the store from end to end.
	Examine(ctx context.Context) (Examination, error)
	// Count counts the records. Credentials that expire before now count as
	// expired.
	Count(ctx context.Context, now time.Time) (Stats, error)
}

// Finding is an inconsistency in a store.
type Finding struct {
	// Damage is true if the stored bytes differ from what was written. Other
	// findings are about records that don't fit together.
	Damage bool   `json:"damage"`
	Text   string `json:"text"`
}

// Examination is what a check found.
type Examination struct {
	// Findings are the first findings. More is the number of further ones.
	Findings []Finding
	More     int
	// Records is the number of records read.
	Records int
	// LastWrite is the time of the last write to the store.
	LastWrite time.Time
	// Marked is true if the store is a backup that is unchanged since it was
	// made.
	Marked bool
}

// Damage returns the first finding of damage, or nil.
func (e *Examination) Damage() *Finding {
	for i := range e.Findings {
		if e.Findings[i].Damage {
			return &e.Findings[i]
		}
	}
	return nil
}

// Stats counts the records of a store.
type Stats struct {
	Users          int `json:"users"`
	SuspendedUsers int `json:"suspended_users"`
	RetiredUsers   int `json:"retired_users"`
	Apps           int `json:"apps"`
	// AppKeys, PATs and Sessions count the stored ones in any state.
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

// KindStats counts the credentials of a kind by standing, each once: a disabled
// credential of a suspended user counts as suspended.
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

// Total returns the sum.
func (k KindStats) Total() int { return k.Active + k.Disabled + k.Expired + k.Suspended }

// RecordRestore adds an audit entry: the operator restored the store from a
// backup. counts is the number of changed records of each kind.
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
