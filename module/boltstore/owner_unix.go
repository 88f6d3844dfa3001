//go:build unix

package boltstore

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// belongs gives the new file to whom the old one belongs, or where there is
// none the folder: the restore may be run by root, and the server by another.
func (r *restoring) belongs(path string) error {
	like := r.before
	if like == nil {
		folder, err := os.Stat(filepath.Dir(path))
		if err != nil {
			return err
		}
		like = folder
	}
	mine, err := os.Stat(path)
	if err != nil {
		return err
	}
	want, ok1 := like.Sys().(*syscall.Stat_t)
	has, ok2 := mine.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || want.Uid == has.Uid && want.Gid == has.Gid {
		return nil
	}
	if err := os.Chown(path, int(want.Uid), int(want.Gid)); err != nil {
		r.Notices = append(r.Notices, fmt.Sprintf(
			"the file belongs to the user %d, and before it was %d's: see that the server can read and write it", has.Uid, want.Uid))
	}
	return nil
}
