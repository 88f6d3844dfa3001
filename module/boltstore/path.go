package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// File names the store in a file, and opens it.
type File struct {
	// Path leads to the file. Symbolic links are followed.
	Path string
	// Observer is told what the store does by itself. It may be nil.
	Observer Observer
}

// Key names the store, the same for every path that leads to the same file.
func (f File) Key() (string, error) {
	path, err := f.canonical()
	if err != nil {
		return "", err
	}
	return "bbolt:" + path, nil
}

// Open opens the store like [Open].
func (f File) Open() (keys.Store, error) {
	path, err := f.canonical()
	if err != nil {
		return nil, err
	}
	return openFor(path, f.Observer)
}

func (f File) canonical() (string, error) {
	path, err := canonical(f.Path)
	if err != nil {
		return "", fmt.Errorf("path of the key store %s: %w", f.Path, err)
	}
	return path, nil
}

// canonical is the absolute path without symbolic links, as far as it exists.
func canonical(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return resolved, err
	}
	folder := filepath.Dir(path)
	if folder == path {
		return path, nil
	}
	if folder, err = canonical(folder); err != nil {
		return "", err
	}
	path = filepath.Join(folder, filepath.Base(path))
	// A link to a file that is still to be made is one to that file already.
	target, err := os.Readlink(path)
	switch {
	case err != nil:
		return path, nil
	case filepath.IsAbs(target):
		return canonical(target)
	}
	return canonical(filepath.Join(folder, target))
}

// Interface guard
var _ keys.Opener = File{}
