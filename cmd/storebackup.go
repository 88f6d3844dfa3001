package cmd

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// backedUp describes a backup in JSON.
type backedUp struct {
	File    string `json:"file"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Records int    `json:"records"`
}

// backUpStore copies the store into a file, or to standard output.
func backUpStore(c *call) error {
	target := "-"
	if len(c.args) == 1 {
		target = c.args[0]
	}
	if target == "-" {
		if c.json {
			return usagef("standard output is for the backup: with -o json, name a file")
		}
		if isTerminal(c.OutOrStdout()) {
			return usagef("a backup is binary: name a file, or redirect standard output to one")
		}
		_, _, err := c.fetchBackup(c.OutOrStdout())
		return err
	}
	if force, _ := c.Flags().GetBool("force"); !force { // declared as such
		if _, err := os.Lstat(target); err == nil {
			return fmt.Errorf("the file %s exists: name another, or replace it with --force", target)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	b, err := c.saveBackup(target)
	if err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	if c.json {
		return c.printValue(b)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "Backed up %s, %s, to %s, and checked it.\n", counted(b.Records, "record"), humanize.Bytes(uint64(b.Size)), b.File)
	return err
}

// saveBackup writes a checked backup to a file.
func (c *call) saveBackup(target string) (b backedUp, err error) {
	if err := c.connect(); err != nil {
		return b, err
	}
	if c.api.offline != nil {
		copied, err := c.api.offline.Directory.Backup(c.Context(), target)
		if err != nil {
			return b, err
		}
		c.backupNotices(copied.Marked, copied.Findings)
		return backedUp{File: target, Size: copied.Size, SHA256: hex.EncodeToString(copied.SHA256[:]), Records: copied.Records}, nil
	}
	return c.receiveBackup(target)
}

// receiveBackup writes a backup that a running Caddy sends to a temporary file in
// the target's folder, checks the written file, and only then gives it its name.
func (c *call) receiveBackup(target string) (b backedUp, err error) {
	folder, name := filepath.Split(target)
	if folder == "" {
		folder = "."
	}
	file, err := os.CreateTemp(folder, "."+name+".backup-*") // readable by this user only
	if err != nil {
		return b, err
	}
	defer func() { _ = os.Remove(file.Name()) }() // fails after a success, which renames the file
	size, sum, err := c.fetchBackup(file)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return b, err
	}
	found, err := boltstore.Examine(c.Context(), file.Name())
	if err != nil {
		return b, err
	}
	if d := found.Damage(); d != nil {
		return b, fmt.Errorf("the received backup is damaged (%s): try again, and if that fails too, run \"store check\"", d.Text)
	}
	c.backupNotices(found.Marked, found.Findings)
	if err := boltstore.Replace(file.Name(), target); err != nil {
		return b, err
	}
	return backedUp{File: target, Size: size, SHA256: hex.EncodeToString(sum[:]), Records: found.Records}, boltstore.SyncFolder(folder)
}

// backupNotices prints what is odd about a backup.
func (c *call) backupNotices(marked bool, findings []keys.Finding) {
	if !marked {
		c.PrintErrln("Notice: the key store has no mark of this backup, because it could not be written to: restoring the backup will need --accept-lost-revocations.")
	}
	for _, f := range findings {
		c.PrintErrf("Notice: %s.\n", f.Text)
	}
}

// fetchBackup copies a backup to a writer. It fails unless the backup arrived
// complete and unchanged.
func (c *call) fetchBackup(to io.Writer) (size int64, sum credential.Digest, err error) {
	if err := c.connect(); err != nil {
		return 0, sum, err
	}
	from, size, digest, err := c.openBackup()
	if err != nil {
		return 0, sum, err
	}
	hash := sha256.New()
	shown := newCopied(c.ErrOrStderr(), size)
	got, err := io.Copy(io.MultiWriter(to, hash, shown), from)
	shown.clear()
	err = errors.Join(err, from.Close())
	hash.Sum(sum[:0])
	switch {
	case err != nil:
		return 0, sum, fmt.Errorf("copying the backup of %s: %w", c.api.where, err)
	case got != size || manage.SHA256Digest(sum) != digest:
		return 0, sum, fmt.Errorf("the backup of %s arrived damaged: try again", c.api.where)
	}
	return got, sum, nil
}

// openBackup opens a backup of a running Caddy's store, or of the store that the
// command has open itself.
func (c *call) openBackup() (from io.ReadCloser, size int64, digest string, err error) {
	if itself, ok := c.api.http.Transport.(inProcess); ok {
		b, err := itself.api.Directory.Backup(c.Context(), "")
		if err != nil {
			return nil, 0, "", err
		}
		file, err := os.Open(b.Path)
		if err != nil {
			return nil, 0, "", errors.Join(err, os.Remove(b.Path))
		}
		return &temporary{file}, b.Size, manage.SHA256Digest(b.SHA256), nil
	}
	resp, err := c.api.send(c.Context(), http.MethodGet, []string{"store", "backup"}, nil, nil)
	if err != nil {
		return nil, 0, "", err
	}
	digest = resp.Header.Get(manage.DigestHeader)
	if resp.StatusCode != http.StatusOK || digest == "" || resp.ContentLength < 0 {
		defer resp.Body.Close()
		if _, _, err := c.api.answer(resp); err != nil {
			return nil, 0, "", err
		}
		return nil, 0, "", fmt.Errorf("the server at %s sends no backups: is it an older version?", c.api.where)
	}
	return resp.Body, resp.ContentLength, digest, nil
}

// temporary is a file that Close removes.
type temporary struct{ *os.File }

func (t *temporary) Close() error { return errors.Join(t.File.Close(), os.Remove(t.Name())) }
