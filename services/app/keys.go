package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"tocsin.dev/pkg/seal"
)

// SecretKey reads a file of 32 random bytes in hex, and makes it, readable by
// its owner only, if it does not exist.
func SecretKey(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSecretKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("key file %s does not hold 32 bytes in hex", path)
	}
	return key, nil
}

func newSecretKey(path string) ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	return key, seal.WriteSecret(path, []byte(hex.EncodeToString(key)+"\n"))
}

// Secure reports whether browsers reach the console by HTTPS.
func (a *App) Secure() bool { return strings.HasPrefix(a.Settings.PublicURL, "https://") }
