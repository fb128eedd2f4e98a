package approval

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/seal"
)

// ErrExport means that a file is not an exported journal as it was exported.
var ErrExport = errors.New("not an intact export of a journal")

// Statement is the last line of an export: what the lines before it are.
type Statement struct {
	Org  string `json:"org"`
	Case string `json:"case"`
	// Entries counts the lines before this one, Last is the sequence of the last.
	Entries int    `json:"entries"`
	Last    uint64 `json:"last"`
	// SHA256 is over the bytes of these lines, line feeds included.
	SHA256     string    `json:"sha256"`
	ExportedAt time.Time `json:"exported_at"`
}

type lastLine struct {
	Export    Statement       `json:"export"`
	Signature event.Signature `json:"signature"`
}

// WriteExport writes the journal of a case as JSON lines, one entry each, and
// a last line that seals them with the signer's key.
func WriteExport(w io.Writer, org, caseID string, entries []casefile.Entry, signer *seal.Signer, now time.Time) error {
	s := Statement{Org: org, Case: caseID, Entries: len(entries), ExportedAt: now.UTC().Truncate(time.Second)}
	sum := sha256.New()
	both := io.MultiWriter(w, sum)
	for _, e := range entries {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("export entry %d of case %s: %w", e.Seq, caseID, err)
		}
		if _, err := both.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("export case %s: %w", caseID, err)
		}
		s.Last = e.Seq
	}
	s.SHA256 = hex.EncodeToString(sum.Sum(nil))
	digest, err := seal.Digest(s)
	if err != nil {
		return fmt.Errorf("export case %s: %w", caseID, err)
	}
	line, err := json.Marshal(lastLine{s, signer.Sign(digest)})
	if err != nil {
		return fmt.Errorf("export case %s: %w", caseID, err)
	}
	if _, err = w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("export case %s: %w", caseID, err)
	}
	return nil
}

// ReadExport reads an export back and verifies that not one bit of it was
// changed since a key of the keyring sealed it, trusted at the instant at. It
// returns ErrExport and why, or one of the errors of seal.Keyring.Verify.
func ReadExport(data []byte, keys *seal.Keyring, at time.Time) ([]casefile.Entry, Statement, error) {
	body, ok := bytes.CutSuffix(data, []byte("\n"))
	if !ok {
		return nil, Statement{}, fmt.Errorf("%w: it does not end with a line feed", ErrExport)
	}
	cut := bytes.LastIndexByte(body, '\n') + 1
	last, err := readLast(body[cut:])
	if err != nil {
		return nil, Statement{}, err
	}
	s := last.Export
	sum := sha256.Sum256(body[:cut])
	if hex.EncodeToString(sum[:]) != s.SHA256 {
		return nil, s, fmt.Errorf("%w: the entries are not those that were sealed", ErrExport)
	}
	digest, err := seal.Digest(s)
	if err != nil {
		return nil, s, fmt.Errorf("%w: %w", ErrExport, err)
	}
	if err := keys.Verify(digest, last.Signature, at); err != nil {
		return nil, s, fmt.Errorf("the seal of the export: %w", err)
	}
	entries, err := readEntries(body[:cut])
	if err != nil {
		return nil, s, err
	}
	if len(entries) != s.Entries {
		return nil, s, fmt.Errorf("%w: %d entries are sealed and %d are there", ErrExport, s.Entries, len(entries))
	}
	return entries, s, nil
}

// readLast reads the last line, which has exactly one spelling.
func readLast(line []byte) (lastLine, error) {
	var last lastLine
	if err := json.Unmarshal(line, &last); err != nil {
		return last, fmt.Errorf("%w: its last line is no seal: was it cut off?", ErrExport)
	}
	again, err := json.Marshal(last)
	if err != nil || !bytes.Equal(again, line) {
		return last, fmt.Errorf("%w: its last line is not spelt as it was written", ErrExport)
	}
	return last, nil
}

func readEntries(lines []byte) ([]casefile.Entry, error) {
	var all []casefile.Entry
	for n := 1; len(lines) > 0; n++ {
		line, rest, _ := bytes.Cut(lines, []byte("\n"))
		var e casefile.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%w: line %d is no entry", ErrExport, n)
		}
		all, lines = append(all, e), rest
	}
	return all, nil
}
