//go:build unix

package boltstore

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// belongsLike gives a new file to whom another file, or a folder, belongs: it may
// be made by root, and the server run by another. If that can't be done, it
// returns a notice.
func belongsLike(path string, like fs.FileInfo) (notice string, err error) {
	mine, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	want, ok1 := like.Sys().(*syscall.Stat_t)
	has, ok2 := mine.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || want.Uid == has.Uid && want.Gid == has.Gid {
		return "", nil
	}
	if err := os.Chown(path, int(want.Uid), int(want.Gid)); err != nil {
		return fmt.Sprintf("the file belongs to the user %d, and before it was %d's: see that the server can read and write it", has.Uid, want.Uid), nil
	}
	return "", nil
}
