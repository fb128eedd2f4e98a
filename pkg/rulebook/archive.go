package rulebook

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Limits of a rule package.
const (
	MaxPacked   = 700 << 10
	maxUnpacked = 16 << 20
	maxFiles    = 2000
)

// ErrBadPackage means that an archive is no rule package or too large for one.
var ErrBadPackage = errors.New("not a rule package")

var (
	folders    = []string{"rules", "calendars", "data"}
	extensions = []string{".yaml", ".txt", ".csv"}
)

// Pack returns the rule package of a folder as a stored zip archive, compressed
// with gzip; the same files give the same bytes.
func Pack(fsys fs.FS) ([]byte, error) {
	names, err := list(fsys)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
		if _, err := w.Write(data); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	var packed bytes.Buffer // as a whole: hundreds of small files that resemble each other
	gz := gzip.NewWriter(&packed)
	if _, err := gz.Write(out.Bytes()); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if err := gz.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if packed.Len() > MaxPacked {
		return nil, fmt.Errorf("%w: %d bytes packed; at most %d", ErrBadPackage, packed.Len(), MaxPacked)
	}
	return packed.Bytes(), nil
}

// list returns the files of a package in order.
func list(fsys fs.FS) ([]string, error) {
	var names []string
	for _, dir := range folders {
		err := fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && slices.Contains(extensions, path.Ext(name)) {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%w: it needs the folders %s: %w", ErrBadPackage, strings.Join(folders, ", "), err)
		}
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%w: %d files; at most %d", ErrBadPackage, len(names), maxFiles)
	}
	return names, nil
}

// Unpack opens what Pack has packed as the files of a rule package and returns the
// digest of its content. It refuses archives that are larger than they may be,
// whatever their directory claims.
func Unpack(packed []byte) (files fs.FS, digest string, err error) {
	if len(packed) > MaxPacked {
		return nil, "", fmt.Errorf("%w: %d bytes packed; at most %d", ErrBadPackage, len(packed), MaxPacked)
	}
	gz, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrBadPackage, err)
	}
	archive, err := io.ReadAll(io.LimitReader(gz, maxUnpacked+1))
	if err != nil || len(archive) > maxUnpacked {
		return nil, "", fmt.Errorf("%w: more than %d bytes unpacked, or cut off: %w", ErrBadPackage, maxUnpacked, err)
	}
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrBadPackage, err)
	}
	names, err := list(z)
	if err != nil {
		return nil, "", err
	}
	if len(z.File) != len(names) {
		return nil, "", fmt.Errorf("%w: it holds other files than %s in %s", ErrBadPackage, strings.Join(extensions, ", "), strings.Join(folders, ", "))
	}
	slices.Sort(names)
	h, total := sha256.New(), int64(0)
	for _, name := range names {
		f, err := z.Open(name)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %s: %w", ErrBadPackage, name, err)
		}
		data, err := io.ReadAll(io.LimitReader(f, maxUnpacked+1-total))
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, "", fmt.Errorf("%w: %s: %w", ErrBadPackage, name, err)
		}
		if total += int64(len(data)); total > maxUnpacked {
			return nil, "", fmt.Errorf("%w: more than %d bytes unpacked", ErrBadPackage, maxUnpacked)
		}
		fmt.Fprintf(h, "%d:%s%d:", len(name), name, len(data))
		h.Write(data)
	}
	return z, hex.EncodeToString(h.Sum(nil)), nil
}
