package inventory

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// FileRoot keeps root keys in one file that only its owner can read. The file
// must not be backed up together with the database: whoever has both can read
// what was erased after the backup. One process writes it at a time.
type FileRoot struct {
	path string
	mu   sync.Mutex
}

// OpenFileRoot uses the key file at path, which is made at the first Seal. It
// refuses a file that others may read.
func OpenFileRoot(path string) (*FileRoot, error) {
	r := &FileRoot{path: path}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s may be read by others (mode %04o): run chmod 600 on it", path, info.Mode().Perm())
	}
	_, err = r.load()
	return r, err
}

// keyFile maps organisations to versions to keys; a destroyed version is an empty key.
type keyFile map[string]map[string][]byte

func (r *FileRoot) load() (keyFile, error) {
	data, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return keyFile{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	f := keyFile{}
	if json.Unmarshal(data, &f) != nil { // its error could quote a key
		return nil, fmt.Errorf("key file %s is damaged: restore it, nothing can be read without it", r.path)
	}
	return f, nil
}

// save replaces the file in one step, so that a crash leaves the old or the new one.
func (r *FileRoot) save(f keyFile) (err error) {
	data, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(r.path), ".tocsin-keys-*") // created with mode 0600
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), r.path)
	}
	if err != nil {
		return fmt.Errorf("write key file %s: %w", r.path, err)
	}
	return syncFolder(filepath.Dir(r.path))
}

// syncFolder makes the names of new files survive a loss of power.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Seal implements Root.
func (r *FileRoot) Seal(_ context.Context, org string, version uint32, plaintext []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.load()
	if err != nil {
		return nil, err
	}
	v := strconv.FormatUint(uint64(version), 10)
	key, exists := f[org][v]
	if exists && len(key) == 0 {
		return nil, fmt.Errorf("%w: %s version %s", ErrDestroyed, org, v)
	}
	if !exists {
		key = make([]byte, keySize)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make root key: %w", err)
		}
		if f[org] == nil {
			f[org] = map[string][]byte{}
		}
		f[org][v] = key
		if err := r.save(f); err != nil {
			return nil, err
		}
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("root key %s version %s: %w", org, v, err)
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal with root key: %w", err)
	}
	return aead.Seal(nonce, nonce, plaintext, []byte(org+" "+v)), nil
}

// Open implements Root.
func (r *FileRoot) Open(_ context.Context, org string, version uint32, sealed []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.load()
	if err != nil {
		return nil, err
	}
	v := strconv.FormatUint(uint64(version), 10)
	key, exists := f[org][v]
	switch {
	case !exists:
		return nil, fmt.Errorf("key file %s has no version %s of the root key of %s: is it the file that belongs to this database?", r.path, v, org)
	case len(key) == 0:
		return nil, fmt.Errorf("%w: %s version %s", ErrDestroyed, org, v)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("root key %s version %s: %w", org, v, err)
	}
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, errors.New("text sealed with the root key is cut off")
	}
	plain, err := aead.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], []byte(org+" "+v))
	if err != nil {
		return nil, fmt.Errorf("root key %s version %s in %s does not open it: is it the file that belongs to this database?", org, v, r.path)
	}
	return plain, nil
}

// Destroy implements Root.
func (r *FileRoot) Destroy(_ context.Context, org string, version uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.load()
	if err != nil {
		return err
	}
	v := strconv.FormatUint(uint64(version), 10)
	if key, exists := f[org][v]; !exists || len(key) == 0 {
		return nil
	}
	f[org][v] = []byte{}
	return r.save(f)
}
