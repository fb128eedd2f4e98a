package wording

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"tocsin.dev/pkg/event"
)

// Digest returns the SHA-256 over the key, subject and body of a text as
// "sha256:<hex>". Every part is preceded by its length, so no two different
// texts share their bytes.
func Digest(key event.TextKey, subject, body string) string {
	h := sha256.New()
	for _, part := range []string{key.Audience, key.Channel, key.Language, subject, body} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
