package manage

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// StoreCheck is the result of a check of the whole store.
type StoreCheck struct {
	// Good is true if there are no findings.
	Good bool `json:"good"`
	// Records is how many records were read.
	Records int `json:"records"`
	// Findings are the first findings; More is how many more there are.
	Findings []keys.Finding `json:"findings"`
	More     int            `json:"more,omitempty"`
}

// ShowCheck returns the result of an examination in the API's form.
func ShowCheck(e keys.Examination) *StoreCheck {
	return &StoreCheck{
		Good: len(e.Findings) == 0, Records: e.Records, More: e.More,
		Findings: append([]keys.Finding{}, e.Findings...),
	}
}

// BackupType is the media type of a backup.
const BackupType = "application/octet-stream"

// DigestHeader is the header with the digest of a body (RFC 9530).
const DigestHeader = "Repr-Digest"

// SHA256Digest returns the value of [DigestHeader].
func SHA256Digest(sum credential.Digest) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// storeFailed returns an answer with the cause of a failure, which only the
// operator may learn.
func storeFailed(err error) error {
	switch {
	case errors.Is(err, keys.ErrUnsupported):
		return refuse(CodeInvalid, "", "%v", keys.ErrUnsupported)
	case errors.Is(err, keys.ErrUnavailable), errors.Is(err, context.Canceled):
		return err
	}
	return &Error{Code: CodeStore, Details: err.Error(), Cause: err}
}

func (r *request) checkStore() (*Answer, error) {
	found, err := r.api.Directory.Examine(r.Context())
	if err != nil {
		return nil, storeFailed(err)
	}
	return &Answer{StoreCheck: ShowCheck(found)}, nil
}

func (r *request) countStore() (*Answer, error) {
	stats, err := r.api.Directory.Count(r.Context())
	if err != nil {
		return nil, storeFailed(err)
	}
	return &Answer{StoreStats: &stats}, nil
}

// acceptClock makes the clock the time of the newest write.
func (r *request) acceptClock() (*Answer, error) {
	done, err := r.api.Directory.AcceptClock(r.Context(), keys.Actor{ID: keys.Operator, Address: r.caller.Address})
	if err != nil {
		return nil, storeFailed(err)
	}
	return &Answer{StoreClock: &done}, nil
}

// backUpStore makes a backup next to the store. It is sent only after it is
// complete and checked, so that no transaction waits for the network.
func (r *request) backUpStore() (*Answer, error) {
	b, err := r.api.Directory.Backup(r.Context(), "")
	if err != nil {
		return nil, storeFailed(err)
	}
	return &Answer{backup: &b}, nil
}

// sendBackup sends a backup, and removes it even if the client has gone away.
func (a *API) sendBackup(w http.ResponseWriter, r *http.Request, b *keys.Backup) {
	file, err := os.Open(b.Path)
	// Remove the file now if the system can read a removed file. Then not even a
	// killed process leaves it behind.
	_ = os.Remove(b.Path)
	defer func() { _ = os.Remove(b.Path) }()
	if err != nil {
		a.Refuse(w, r, fmt.Errorf("sending the backup: %w", err))
		return
	}
	defer func() { _ = file.Close() }()
	h := w.Header()
	h.Set("Content-Type", BackupType)
	h.Set("Content-Length", strconv.FormatInt(b.Size, 10))
	h.Set("Content-Disposition", `attachment; filename="keys-`+b.LastWrite.UTC().Format("20060102T150405Z")+`.db"`)
	h.Set(DigestHeader, SHA256Digest(b.SHA256))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	// A client that gets less than Content-Length knows that the backup is cut off.
	_, _ = io.Copy(w, file)
}

// getHealth answers whether the store can be read and written. A failing task of
// the directory means that it can't be written.
func (r *request) getHealth() (*Answer, error) {
	if err := r.api.Directory.Ready(r.Context()); err != nil {
		return nil, err
	}
	err := r.view(func(from keys.Reader) error {
		_, err := from.LastWrite()
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.api.Directory.Failing(); err != nil {
		return nil, &Error{Code: CodeUnavailable, Details: "a background task of the key store fails, and is retried every half minute; see the server's log", Cause: err}
	}
	return &Answer{}, nil
}
