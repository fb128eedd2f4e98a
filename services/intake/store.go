package intake

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/sqldb"
)

//go:embed migrations
var migrations embed.FS

// store holds the rows of alerts. Times are nanoseconds since 1970.
type store struct {
	db *sqldb.DB
	// isKnown is asked before every answer to a sender, so it is kept prepared.
	isKnown *sql.Stmt
}

// prepare readies the store after its tables exist. The statement is closed
// with the database.
func (st *store) prepare(ctx context.Context) (err error) {
	if st.isKnown, err = st.db.PrepareContext(ctx, `SELECT 1 FROM deliveries WHERE id=$1`); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	return nil
}

// errUnknownAlert means that the organisation has no alert of this id.
var errUnknownAlert = errors.New("unknown alert")

// row is one alert as it is stored.
type row struct {
	event.Alert
	dedupe    string
	delivery  string
	document  int
	mapping   string
	version   int
	problems  []string
	rawSHA256 string
	rawType   string
	rawSeq    uint64
	rawObject string
	decidedBy string
	decidedAt int64
	reason    string
}

// known reports whether a delivery has been read already.
func (st *store) known(ctx context.Context, delivery string) (bool, error) {
	var one int
	err := st.isKnown.QueryRowContext(ctx, delivery).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// writing is one transaction that saves deliveries; its statements are prepared
// once for all of them.
type writing struct {
	ctx   context.Context //nolint:containedctx // lives as long as the transaction
	tx    *sql.Tx
	ready map[string]*sql.Stmt
}

// stmt returns a prepared statement; it is closed with the transaction.
func (w *writing) stmt(query string) (*sql.Stmt, error) {
	if s := w.ready[query]; s != nil {
		return s, nil
	}
	s, err := w.tx.PrepareContext(w.ctx, query)
	if err == nil {
		w.ready[query] = s
	}
	return s, err
}

// exec runs a statement and returns how many rows it changed.
func (w *writing) exec(query string, args ...any) (int64, error) {
	s, err := w.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(w.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// save stores the alerts of one delivery. A message that comes again is
// recognised by its sequence and changes nothing; the same body under another
// sequence counts as a repetition.
func (w *writing) save(d delivery, rows []row) error {
	n, err := w.exec(`INSERT INTO deliveries (id, seq) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, d.ID, int64(d.Seq))
	if err != nil {
		return fmt.Errorf("save delivery %s: %w", d.ID, err)
	}
	if n == 0 {
		return w.saveAgain(d)
	}
	for _, r := range rows {
		if err := w.insert(d.Org, r); err != nil {
			return fmt.Errorf("save alert %s: %w", r.ID, err)
		}
	}
	return nil
}

func (w *writing) saveAgain(d delivery) error {
	n, err := w.exec(`UPDATE deliveries SET seq=$2 WHERE id=$1 AND seq<$2`, d.ID, int64(d.Seq))
	if err != nil {
		return fmt.Errorf("save delivery %s again: %w", d.ID, err)
	}
	if n == 0 {
		return nil
	}
	return bump(w.ctx, w.tx, d.ID, beat{count: 1, last: d.ReceivedAt})
}

// bump adds repetitions to every alert of a delivery.
func bump(ctx context.Context, tx *sql.Tx, delivery string, b beat) error {
	_, err := tx.ExecContext(ctx, `UPDATE alerts SET count=count+$2, last_at=CASE WHEN last_at<$3 THEN $3 ELSE last_at END
		WHERE delivery=$1 OR id IN (SELECT alert FROM aliases WHERE delivery=$1)`, delivery, b.count, b.last.UnixNano())
	if err != nil {
		return fmt.Errorf("count repetitions of delivery %s: %w", delivery, err)
	}
	return nil
}

// insertAlert stores an alert, or counts it on the one that it repeats. The
// first reading stays; of later ones only a worse severity and the newest
// status count.
const insertAlert = `INSERT INTO alerts (id, org, source, dedupe, delivery, document, state, case_no, unmapped, personal,
		severity_id, status, received_at, last_at, count, search, facts, mapping, mapping_version, problems,
		raw_sha256, raw_type, raw_seq, raw_object, decided_by, decided_at, reason)
	VALUES ($1,$2,$3,$4,$5,$6,'new','',$7,$8,$9,$10,$11,$12,1,$13,$14,$15,$16,$17,$18,$19,$20,$21,'',0,'')
	ON CONFLICT (org, source, dedupe) DO UPDATE SET count=alerts.count+1,
		last_at=CASE WHEN alerts.last_at<excluded.last_at THEN excluded.last_at ELSE alerts.last_at END,
		severity_id=CASE WHEN alerts.severity_id<excluded.severity_id THEN excluded.severity_id ELSE alerts.severity_id END,
		status=CASE WHEN excluded.status<>'' AND excluded.last_at>=alerts.last_at THEN excluded.status ELSE alerts.status END
	RETURNING id`

func (w *writing) insert(org string, r row) error {
	facts, err := json.Marshal(r.AlertFacts)
	if err != nil {
		return err
	}
	problems, err := json.Marshal(r.problems)
	if err != nil {
		return err
	}
	s, err := w.stmt(insertAlert)
	if err != nil {
		return err
	}
	var id string
	at := r.ReceivedAt.UnixNano()
	if err := s.QueryRowContext(w.ctx, r.ID, org, r.Source, r.dedupe, r.delivery, r.document, r.Unmapped, len(r.Data) > 0,
		r.SeverityID, r.Status, at, at, searchText(r), string(facts), r.mapping, r.version, string(problems),
		r.rawSHA256, r.rawType, int64(r.rawSeq), r.rawObject).Scan(&id); err != nil {
		return err
	}
	if id != r.ID {
		_, err := w.exec(`INSERT INTO aliases (id, alert, delivery) VALUES ($1,$2,$3) ON CONFLICT (id) DO NOTHING`, r.ID, id, r.delivery)
		return err
	}
	for _, m := range marksOf(r.AlertFacts) {
		if _, err := w.exec(`INSERT INTO marks (org, mark, at, alert) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING`,
			org, m, r.happened().UnixNano(), r.ID); err != nil {
			return err
		}
	}
	return nil
}

// searchText is what the text filter looks into, in lower case.
func searchText(r row) string {
	words := []string{r.Title, r.Desc[:min(len(r.Desc), 1000)], r.Product, r.ProductName, r.Vendor, r.Source, r.ExternalID}
	for _, d := range r.Devices {
		words = append(words, d.Hostname, d.IP, d.UID)
	}
	for _, u := range r.Users {
		words = append(words, u.Name, u.Email)
	}
	for _, x := range r.Resources {
		words = append(words, x.UID)
	}
	for _, x := range r.Data {
		words = append(words, x.Category)
	}
	return strings.ToValidUTF8(strings.ToLower(strings.Join(words, "\n")), "")
}

// happened is the best instant to compare alerts by.
func (r row) happened() time.Time {
	if r.OccurredAt != nil {
		return *r.OccurredAt
	}
	return r.ReceivedAt
}

// beat writes heartbeats and repetitions. Those of a delivery that has not been
// read yet are returned.
func (st *store) beat(ctx context.Context, sources, repeats map[string]beat) (early map[string]beat, err error) {
	err = st.db.Tx(ctx, func(tx *sql.Tx) error {
		early = map[string]beat{}
		for id, b := range sources {
			if _, err := tx.ExecContext(ctx, `INSERT INTO sources (id, last_at, received) VALUES ($1,$2,$3)
				ON CONFLICT (id) DO UPDATE SET received=sources.received+excluded.received,
				last_at=CASE WHEN sources.last_at<excluded.last_at THEN excluded.last_at ELSE sources.last_at END`,
				id, b.last.UnixNano(), b.count); err != nil {
				return fmt.Errorf("write the heartbeat of %s: %w", id, err)
			}
		}
		for id, b := range repeats {
			var one int
			switch err := tx.QueryRowContext(ctx, `SELECT 1 FROM deliveries WHERE id=$1`, id).Scan(&one); {
			case errors.Is(err, sql.ErrNoRows):
				early[id] = b
				continue
			case err != nil:
				return err
			}
			if err := bump(ctx, tx, id, b); err != nil {
				return err
			}
		}
		return nil
	})
	return early, err
}

const columns = `id, source, delivery, document, state, case_no, unmapped, severity_id, status, received_at, last_at, count, facts,
	mapping, mapping_version, problems, raw_sha256, raw_type, raw_seq, raw_object, decided_by, decided_at, reason`

type scanner interface{ Scan(...any) error }

func scanRow(s scanner) (row, error) {
	var r row
	var facts, problems, status string
	var severity int
	var receivedAt, lastAt, seq int64
	err := s.Scan(&r.ID, &r.Source, &r.delivery, &r.document, &r.State, &r.Case, &r.Unmapped, &severity, &status, &receivedAt, &lastAt, &r.Count, &facts,
		&r.mapping, &r.version, &problems, &r.rawSHA256, &r.rawType, &seq, &r.rawObject, &r.decidedBy, &r.decidedAt, &r.reason)
	if err != nil {
		return row{}, err
	}
	if err := json.Unmarshal([]byte(facts), &r.AlertFacts); err != nil {
		return row{}, fmt.Errorf("read the facts of alert %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(problems), &r.problems); err != nil {
		return row{}, fmt.Errorf("read the problems of alert %s: %w", r.ID, err)
	}
	r.SeverityID, r.Status = severity, status
	r.ReceivedAt, r.LastAt, r.rawSeq = time.Unix(0, receivedAt).UTC(), time.Unix(0, lastAt).UTC(), uint64(seq)
	return r, nil
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// find returns an alert by its id or by that of a repetition of it.
func find(ctx context.Context, q querier, org, id string) (row, error) {
	r, err := scanRow(q.QueryRowContext(ctx, `SELECT `+columns+` FROM alerts WHERE org=$1 AND
		(id=$2 OR id=(SELECT alert FROM aliases WHERE id=$2))`, org, id))
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, errUnknownAlert
	}
	if err != nil {
		return row{}, fmt.Errorf("read alert %s: %w", id, err)
	}
	return r, nil
}

// link marks an alert as part of a case. Of several cases the first stays on
// the row. It returns the alert as it is then.
func (st *store) link(ctx context.Context, org, id, caseNo string, at time.Time) (r row, err error) {
	err = st.db.Tx(ctx, func(tx *sql.Tx) error {
		if r, err = find(ctx, tx, org, id); err != nil || r.State == event.AlertInCase {
			return err
		}
		r.State, r.Case = event.AlertInCase, caseNo
		_, err := tx.ExecContext(ctx, `UPDATE alerts SET state='linked', case_no=$2, decided_by='', decided_at=$3, reason='' WHERE id=$1`, r.ID, caseNo, at.UnixNano())
		return err
	})
	return r, err
}

// decide moves an alert between new and dismissed. It returns false for an
// alert that is not in the state from.
func (st *store) decide(ctx context.Context, org, id string, from, to event.AlertState, by, reason string, at time.Time) (ok bool, err error) {
	err = st.db.Tx(ctx, func(tx *sql.Tx) error {
		r, err := find(ctx, tx, org, id)
		if err != nil {
			return err
		}
		if ok = r.State == from || (r.State == to && r.reason == reason); !ok {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE alerts SET state=$2, decided_by=$3, decided_at=$4, reason=$5 WHERE id=$1`, r.ID, string(to), by, at.UnixNano(), reason)
		return err
	})
	return ok, err
}

// keptAt notes that the body of a delivery lies in the object store now.
func (st *store) keptAt(ctx context.Context, delivery, object string) error {
	_, err := st.db.ExecContext(ctx, `UPDATE alerts SET raw_object=$2 WHERE delivery=$1`, delivery, object)
	if err != nil {
		return fmt.Errorf("note where the body of delivery %s is kept: %w", delivery, err)
	}
	return nil
}
