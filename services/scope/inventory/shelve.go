package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// shelf is what a delivery fills.
type shelf struct {
	generation      int64
	sealed, columns *shelfFile
}

// fill opens the shelf of a delivery to be filled, behind what is there.
func (s *shelves) fill(inventory, generation int64) (*shelf, error) {
	sealed, err := s.fillFile(shelfName{inventory, generation}, directIO)
	if err != nil {
		return nil, fmt.Errorf("make shelf: %w", err)
	}
	columns, err := s.fillFile(shelfName{inventory, -generation}, 0)
	if err == nil {
		err = syncFolder(filepath.Dir(s.path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make shelf: %w", err), sealed.Close())
	}
	return &shelf{generation, sealed, columns}, nil
}

// put shelves a body of a kind that stands on shelves. It is on the disk when
// settle returns.
func (s *shelf) put(kind int64, body []byte) (place, error) {
	if shelfOf(kind, s.generation) < 0 {
		return s.columns.put(body)
	}
	return s.sealed.put(body)
}

func (s *shelf) size() int64 { return s.sealed.size() + s.columns.size() }

func (s *shelf) settle() error { return errors.Join(s.sealed.settle(), s.columns.settle()) }

// Close closes the files; what was not settled is lost.
func (s *shelf) Close() error { return errors.Join(s.sealed.Close(), s.columns.Close()) }

// shelfFile is a file that is filled.
type shelfFile struct {
	*os.File
	number int64
	end    int64
	buf    []byte // aligned
}

func (s *shelves) fillFile(n shelfName, direct int) (*shelfFile, error) {
	f, err := openShelfFile(s.file(n), os.O_RDWR|os.O_CREATE, direct)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &shelfFile{File: f, number: n.number, end: roundUp(info.Size()), buf: aligned(writeSize)}, nil
}

func (s *shelfFile) put(body []byte) (place, error) {
	p := place{s.number, s.size(), int64(len(body))}
	for len(body) > 0 {
		if len(s.buf) == cap(s.buf) {
			if err := s.write(); err != nil {
				return p, err
			}
		}
		n := copy(s.buf[len(s.buf):cap(s.buf)], body)
		s.buf, body = s.buf[:len(s.buf)+n], body[n:]
	}
	return p, nil
}

func (s *shelfFile) size() int64 { return s.end + int64(len(s.buf)) }

func (s *shelfFile) write() error {
	n := int(roundUp(int64(len(s.buf))))
	clear(s.buf[len(s.buf):n])
	if _, err := s.WriteAt(s.buf[:n], s.end); err != nil {
		return fmt.Errorf("fill shelf: %w", err)
	}
	s.end += int64(n)
	s.buf = s.buf[:0]
	return nil
}

func (s *shelfFile) settle() error {
	if len(s.buf) > 0 {
		if err := s.write(); err != nil {
			return err
		}
	}
	if err := s.Sync(); err != nil {
		return fmt.Errorf("fill shelf: %w", err)
	}
	return nil
}

// standing is a segment whose body stands on a shelf of an earlier delivery.
type standing struct {
	kind, a, c, generation int64
	place
}

// gather moves what still stands on shelves that are mostly unnamed to the shelf
// of this delivery, so that they can go.
func (w *writer) gather(ctx context.Context) error {
	if w.shelf == nil || w.d.head.generation == 0 {
		return nil
	}
	left, err := w.left(ctx)
	if err != nil {
		return fmt.Errorf("look through the shelves of %s: %w", w.d.org, err)
	}
	var batch []standing
	for i, size := 0, int64(0); i < len(left); i++ {
		body, err := w.d.head.bodies.read(w.d.head.id, left[i].place)
		if err != nil {
			return err
		}
		if left[i].place, err = w.shelf.put(left[i].kind, body); err != nil {
			return err
		}
		batch, size = append(batch, left[i]), size+left[i].size
		if size < writeSize && i < len(left)-1 {
			continue
		}
		if err := w.move(ctx, batch); err != nil {
			return fmt.Errorf("move a shelf of %s: %w", w.d.org, err)
		}
		batch, size = batch[:0], 0
	}
	return nil
}

// left returns what this delivery leaves as it is on shelves that are mostly
// unnamed, in the order in which it stands there.
func (w *writer) left(ctx context.Context) ([]standing, error) {
	d := w.d
	rows, err := d.store.db.QueryContext(ctx, `SELECT kind, a, c, generation, shelf, at, size FROM segment
		WHERE inventory = $1 AND shelf NOT IN (0, $2, -$2) AND generation < $2 AND NOT EXISTS (SELECT 1 FROM segment n
			WHERE n.inventory = segment.inventory AND n.kind = segment.kind AND n.a = segment.a AND n.c = segment.c AND n.generation = $2)
		ORDER BY shelf, at`, d.head.id, w.generation)
	if err != nil {
		return nil, err
	}
	var all []standing
	named := map[int64]int64{} // bytes by shelf
	err = scanAll(rows, func() error {
		var s standing
		err := rows.Scan(&s.kind, &s.a, &s.c, &s.generation, &s.shelf, &s.at, &s.size)
		all, named[s.shelf] = append(all, s), named[s.shelf]+s.size
		return err
	})
	if err != nil {
		return nil, err
	}
	for number, size := range named {
		info, err := os.Stat(d.store.shelves.file(shelfName{d.head.id, number}))
		if err != nil {
			return nil, err
		}
		if 2*size > info.Size() {
			delete(named, number)
		}
	}
	return slices.DeleteFunc(all, func(s standing) bool { _, moves := named[s.shelf]; return !moves }), nil
}

// move lets rows name the places to which their bodies were copied.
func (w *writer) move(ctx context.Context, moved []standing) error {
	if err := w.shelf.settle(); err != nil {
		return err
	}
	d := w.d
	return d.store.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := d.store.renew(ctx, tx, d.org, d.token); err != nil {
			return err
		}
		for _, s := range moved {
			if _, err := tx.ExecContext(ctx, `UPDATE segment SET shelf = $1, at = $2 WHERE inventory = $3 AND kind = $4 AND a = $5 AND c = $6 AND generation = $7`,
				s.shelf, s.at, d.head.id, s.kind, s.a, s.c, s.generation); err != nil {
				return err
			}
		}
		return nil
	})
}

// tidyShelves removes the shelves that neither a row nor a delivery under way names.
func (s *Store) tidyShelves(ctx context.Context) error {
	if s.shelves.path == "" {
		return nil
	}
	// The files first: a delivery is known before it makes its shelf.
	files, err := filepath.Glob(s.shelves.path + "-shelf-*")
	if err != nil || len(files) == 0 {
		return err
	}
	needed := map[shelfName]bool{}
	rows, err := s.db.QueryContext(ctx, `SELECT inventory, shelf FROM segment WHERE shelf <> 0 GROUP BY inventory, shelf
		UNION SELECT inventory, generation FROM delivery WHERE state = $1
		UNION SELECT inventory, -generation FROM delivery WHERE state = $1`, deliveryRunning)
	if err != nil {
		return fmt.Errorf("tidy shelves: %w", err)
	}
	err = scanAll(rows, func() error {
		var n shelfName
		err := rows.Scan(&n.inventory, &n.number)
		needed[n] = true
		return err
	})
	if err != nil {
		return fmt.Errorf("tidy shelves: %w", err)
	}
	for _, f := range files {
		n, ok := s.shelves.nameOf(f)
		if !ok || needed[n] {
			continue
		}
		s.shelves.mu.Lock()
		delete(s.shelves.open, n) // whoever reads it holds it; the collector closes it
		s.shelves.mu.Unlock()
		err = errors.Join(err, removeIfThere(f))
	}
	return err
}

// nameOf is the reverse of file.
func (s *shelves) nameOf(file string) (n shelfName, ok bool) {
	inventory, number, _ := strings.Cut(strings.TrimPrefix(file, s.path+"-shelf-"), "-")
	number, columns := strings.CutSuffix(number, columnsSuffix)
	var err, err2 error
	n.inventory, err = strconv.ParseInt(inventory, 10, 64)
	n.number, err2 = strconv.ParseInt(number, 10, 64)
	if columns {
		n.number = -n.number
	}
	return n, err == nil && err2 == nil
}
