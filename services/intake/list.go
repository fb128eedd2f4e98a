package intake

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tocsin.dev/pkg/event"
)

// Sizes of a page.
const (
	pageDefault = 50
	pageMost    = 200
	// relatedMost is how many related alerts are shown with one.
	relatedMost = 20
)

// cursor is where a page ended. Callers keep it as an opaque word.
type cursor struct {
	Severity int    `json:"s,omitempty"`
	At       int64  `json:"t"`
	ID       string `json:"i"`
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil { // numbers and a string: cannot happen
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

var errBadCursor = errors.New("the place to continue from is not one that this list gave out")

func parseCursor(s string) (c cursor, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || json.Unmarshal(b, &c) != nil {
		return c, errBadCursor
	}
	return c, nil
}

// list returns one page of an organisation's alerts.
func (st *store) list(ctx context.Context, org string, q event.AlertsList) (alerts []event.Alert, next string, err error) {
	where := []string{"org=$1"}
	args := []any{org}
	add := func(cond string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			cond = strings.Replace(cond, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		where = append(where, cond)
	}
	if q.State != "" {
		add("state=?", string(q.State))
	}
	if q.Source != "" {
		add("source=?", q.Source)
	}
	if q.Severity > 0 {
		add("severity_id>=?", q.Severity)
	}
	if q.Unmapped {
		add("unmapped=?", true)
	}
	if q.Personal {
		add("personal=?", true)
	}
	if q.Text != "" {
		escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
		add(`search LIKE ? ESCAPE '\'`, "%"+escape.Replace(strings.ToLower(q.Text))+"%")
	}
	order := "received_at DESC, id DESC"
	if q.Order == "severity" {
		order = "severity_id DESC, " + order
	}
	if q.After != "" {
		c, err := parseCursor(q.After)
		if err != nil {
			return nil, "", err
		}
		if q.Order == "severity" {
			add("(severity_id, received_at, id) < (?, ?, ?)", c.Severity, c.At, c.ID)
		} else {
			add("(received_at, id) < (?, ?)", c.At, c.ID)
		}
	}
	limit := pageDefault
	if q.Limit > 0 {
		limit = min(q.Limit, pageMost)
	}
	rows, err := st.rows(ctx, `SELECT `+columns+` FROM alerts WHERE `+strings.Join(where, " AND ")+
		` ORDER BY `+order+` LIMIT `+strconv.Itoa(limit+1), args...)
	if err != nil {
		return nil, "", fmt.Errorf("list alerts: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		next = cursor{Severity: last.SeverityID, At: last.ReceivedAt.UnixNano(), ID: last.ID}.String()
	}
	for _, r := range rows {
		r.Desc = "" // a line of the queue does not show it
		alerts = append(alerts, r.Alert)
	}
	return alerts, next, nil
}

func (st *store) rows(ctx context.Context, query string, args ...any) ([]row, error) {
	res, err := st.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer res.Close()
	var rows []row
	for res.Next() {
		r, err := scanRow(res)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, res.Err()
}

// counts returns how many alerts an organisation has in each state.
func (st *store) counts(ctx context.Context, org string) (map[event.AlertState]int64, error) {
	res, err := st.db.QueryContext(ctx, `SELECT state, COUNT(*) FROM alerts WHERE org=$1 GROUP BY state`, org)
	if err != nil {
		return nil, fmt.Errorf("count alerts: %w", err)
	}
	defer res.Close()
	counts := map[event.AlertState]int64{event.AlertNew: 0, event.AlertInCase: 0, event.AlertDismissed: 0}
	for res.Next() {
		var state string
		var n int64
		if err := res.Scan(&state, &n); err != nil {
			return nil, fmt.Errorf("count alerts: %w", err)
		}
		counts[event.AlertState(state)] = n
	}
	return counts, res.Err()
}

// heartbeats returns when each source was last heard and how often.
func (st *store) heartbeats(ctx context.Context) (map[string]beat, error) {
	res, err := st.db.QueryContext(ctx, `SELECT id, last_at, received FROM sources`)
	if err != nil {
		return nil, fmt.Errorf("read heartbeats: %w", err)
	}
	defer res.Close()
	beats := map[string]beat{}
	for res.Next() {
		var id string
		var last int64
		var b beat
		if err := res.Scan(&id, &last, &b.count); err != nil {
			return nil, fmt.Errorf("read heartbeats: %w", err)
		}
		b.last = time.Unix(0, last).UTC()
		beats[id] = b
	}
	return beats, res.Err()
}

// everywhere are accounts that exist on every machine: they relate nothing.
func everywhere(user string) bool {
	switch user {
	case "system", "root", "administrator", "admin", "local service", "network service", "nobody", "n/a", "unknown", "-":
		return true
	}
	return false
}

// marksOf are the things by which alerts are related: machines and accounts.
func marksOf(f event.AlertFacts) []string {
	seen := map[string]bool{}
	var marks []string
	add := func(kind, s string) {
		s = strings.ToLower(strings.TrimSpace(s))
		if m := kind + " " + s; s != "" && s != "localhost" && s != "127.0.0.1" && !seen[m] && len(marks) < 40 {
			seen[m] = true
			marks = append(marks, m)
		}
	}
	for _, d := range f.Devices {
		name, _, _ := strings.Cut(d.Hostname, ".") // FS-02 and fs-02.example.test are one machine
		if strings.Trim(d.Hostname, "0123456789.") == "" {
			name = d.Hostname
		}
		add("host", name)
		add("host", d.IP)
	}
	for _, u := range f.Users {
		if !everywhere(strings.ToLower(u.Name)) {
			add("user", u.Name)
		}
		add("user", u.Email)
	}
	return marks
}

// related returns alerts of the same organisation that concern the same
// machines or accounts within the window around the alert, nearest first.
func (st *store) related(ctx context.Context, org string, r row, window time.Duration) ([]event.RelatedAlert, error) {
	marks := marksOf(r.AlertFacts)
	if len(marks) == 0 {
		return nil, nil
	}
	at := r.happened()
	args := []any{org, at.Add(-window).UnixNano(), at.Add(window).UnixNano(), r.ID}
	var in []string
	for _, m := range marks {
		args = append(args, m)
		in = append(in, "$"+strconv.Itoa(len(args)))
	}
	res, err := st.db.QueryContext(ctx, `SELECT alert, mark FROM marks WHERE org=$1 AND at>=$2 AND at<=$3 AND alert<>$4
		AND mark IN (`+strings.Join(in, ",")+`) ORDER BY at DESC LIMIT 500`, args...)
	if err != nil {
		return nil, fmt.Errorf("find related alerts: %w", err)
	}
	defer res.Close()
	why := map[string][]string{}
	var ids []string
	for res.Next() {
		var id, mark string
		if err := res.Scan(&id, &mark); err != nil {
			return nil, fmt.Errorf("find related alerts: %w", err)
		}
		if why[id] == nil {
			ids = append(ids, id)
		}
		why[id] = append(why[id], mark)
	}
	if err := res.Err(); err != nil {
		return nil, fmt.Errorf("find related alerts: %w", err)
	}
	var out []event.RelatedAlert
	for _, id := range ids[:min(len(ids), relatedMost)] {
		other, err := find(ctx, st.db, org, id)
		if err != nil {
			return nil, err
		}
		other.Desc = ""
		out = append(out, event.RelatedAlert{Alert: other.Alert, Why: why[id]})
	}
	return out, nil
}
