package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/web"
)

const (
	// beat is how often an open page hears the server's time.
	beat = 15 * time.Second
	// progressBeat is how often an open progress page hears new numbers.
	progressBeat = 2 * time.Second
	// streamLife ends a stream; the browser opens it again, with its session checked anew.
	streamLife = 15 * time.Minute
	// maxStreams bounds the streams of one person.
	maxStreams = 20
)

// streams counts the open event streams of each person.
type streams struct {
	mu   sync.Mutex
	open map[string]int
}

func (s *streams) enter(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]int{}
	}
	if s.open[id] >= maxStreams {
		return false
	}
	s.open[id]++
	return true
}

func (s *streams) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[id]--; s.open[id] <= 0 {
		delete(s.open, id)
	}
}

// stream is one open Server-Sent Events answer.
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
	mu sync.Mutex
}

// openStream answers with an event stream that ends with the request, the
// server, or its life, whichever comes first.
func (s *Service) openStream(w http.ResponseWriter, r *http.Request, u User) (*stream, context.Context, func(), error) {
	if !s.streams.enter(u.ID) {
		return nil, nil, nil, web.NewError(http.StatusTooManyRequests, "too_many_streams", "Too many pages with live updates are open. Close some.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	stopping := web.Stopping(ctx)
	go func() {
		select {
		case <-stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	end := sync.OnceFunc(func() { cancel(); s.streams.leave(u.ID) })
	return &stream{w: w, rc: http.NewResponseController(w)}, ctx, end, nil
}

// say writes one event and moves the write deadline.
func (st *stream) say(name, id string, data string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	// A server without deadlines is a test's; it needs none.
	_ = st.rc.SetWriteDeadline(time.Now().Add(3 * beat)) //nolint:forbidigo // a network deadline, never a legal instant
	if id != "" {
		id = "id: " + id + "\n"
	}
	if _, err := fmt.Fprintf(st.w, "event: %s\n%sdata: %s\n\n", name, id, data); err != nil {
		return err
	}
	return st.rc.Flush()
}

// live tells an open page of a case what happens in it.
func (s *Service) live(w http.ResponseWriter, r *http.Request, u User) error {
	c, err := s.Case(r.Context(), u, r.PathValue("number"))
	if err != nil {
		return err
	}
	after, _ := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		after = last
	}
	st, ctx, end, err := s.openStream(w, r, u)
	if err != nil {
		return err
	}
	defer end()
	follow := make(chan error, 1)
	go func() {
		defer end() // a page that cannot hear of changes any more must come again
		follow <- s.cfg.Journal.Follow(ctx, u.Org, c.Number, max(after, 1), func(e casefile.Entry) error {
			if e.Seq <= after || e.Type == event.TypeDispatchProgressed {
				return nil
			}
			data, err := json.Marshal(map[string]any{"seq": e.Seq, "summary": Describe(e)})
			if err != nil {
				return err
			}
			return st.say("change", strconv.FormatUint(e.Seq, 10), string(data))
		})
	}()
	for st.say("time", "", s.cfg.Now().UTC().Format(time.RFC3339)) == nil && pause(ctx, beat) {
	}
	end()
	if err := <-follow; err != nil && r.Context().Err() == nil {
		// The answer has begun; the browser connects again by itself.
		s.cfg.Log.WarnContext(r.Context(), "an event stream ended early", "error", err)
	}
	return nil
}

// progressNews are the numbers of the progress page.
type progressNews struct {
	Numbers map[string]string `json:"numbers"`
	Bars    []barNews         `json:"bars"`
	Words   string            `json:"words"`
	// Tenth is how many tenths are done; it is spoken when it changes.
	Tenth int  `json:"tenth"`
	Ended bool `json:"ended"`
}

type barNews struct {
	ID string  `json:"id"`
	X  float64 `json:"x"`
	W  float64 `json:"w"`
}

func newsOf(p Progress) progressNews {
	t := p.Tally
	n := progressNews{Words: progressWords(p), Ended: p.Standing == casefile.OrderStopped || p.Standing == casefile.OrderRefused || p.Standing == casefile.OrderCompleted}
	n.Numbers = map[string]string{"people": Number(t.People), "told": Number(t.Told), "pending": Number(t.Pending), "in_doubt": Number(t.InDoubt),
		"unreachable": Number(t.Unreachable), "excluded": Number(t.Excluded), "public": Number(t.Public), "words": n.Words}
	if t.People > 0 {
		n.Tenth = int(10 * (t.People - t.Pending) / t.People)
	}
	for _, b := range bars(t) {
		for _, part := range b.Parts {
			n.Numbers[part.ID] = Number(part.Count)
			n.Bars = append(n.Bars, barNews{part.ID, part.X, part.W})
		}
	}
	return n
}

// liveProgress tells an open progress page the ledger's numbers.
func (s *Service) liveProgress(w http.ResponseWriter, r *http.Request, u User) error {
	number, order := r.PathValue("number"), r.PathValue("order")
	if _, err := s.Progress(r.Context(), u, number, order); err != nil {
		return err
	}
	return s.liveNews(w, r, u, func(ctx context.Context) (progressNews, error) {
		p, err := s.Progress(ctx, u, number, order)
		return newsOf(p), err
	})
}

// liveNews tells an open page numbers as they change, until the page is gone.
func (s *Service) liveNews(w http.ResponseWriter, r *http.Request, u User, news func(context.Context) (progressNews, error)) error {
	st, ctx, end, err := s.openStream(w, r, u)
	if err != nil {
		return err
	}
	defer end()
	for {
		if err := st.say("time", "", s.cfg.Now().UTC().Format(time.RFC3339)); err != nil {
			return nil //nolint:nilerr // the reader is gone
		}
		// A service that does not answer for a moment leaves the last numbers standing.
		if n, err := news(ctx); err == nil {
			data, err := json.Marshal(n)
			if err != nil || st.say("progress", "", string(data)) != nil {
				return nil //nolint:nilerr // numbers always encode; the reader is gone
			}
		}
		if !pause(ctx, progressBeat) {
			return nil
		}
	}
}
