package boltstore

import (
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
)

// settle writes the newest meta page once more, as it is, and syncs the file.
//
// The writer of that page may not have synced it, or the sync failed, and then
// the system shows the page from its memory and takes it for written, whatever
// is on the disk. The change that it stands for would be there until the power
// is cut. Worse, the next one overwrites pages that are free now, and still in
// use by the change before, which is all that the disk knows of. The other
// pages were synced before the meta page was written.
func settle(db *bolt.DB, file *os.File) error {
	err := db.View(func(tx *bolt.Tx) error {
		page := make([]byte, db.Info().PageSize)
		at := int64(tx.ID()%2) * int64(len(page))
		if _, err := file.ReadAt(page, at); err != nil {
			return err
		}
		if _, err := file.WriteAt(page, at); err != nil {
			return err
		}
		return file.Sync()
	})
	if err != nil {
		return fmt.Errorf("making its last change durable: %w", err)
	}
	return nil
}
