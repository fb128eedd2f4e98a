package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestABundleGivesBackWhatWasPutIn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var in []delivery
		for i := range rapid.IntRange(1, 20).Draw(rt, "n") {
			d := delivery{ID: fmt.Sprint("id", i), Org: "o", Source: "s", SHA256: "x", ContentType: rapid.String().Draw(rt, "type"),
				ReceivedAt: time.Unix(int64(i+1), 5).UTC(), Body: rapid.SliceOf(rapid.Byte()).Draw(rt, "body")}
			if rapid.Bool().Draw(rt, "large") {
				d.Object, d.Body = d.ID, nil
			}
			in = append(in, d)
		}
		data, err := pack(in)
		if err != nil {
			rt.Fatal(err)
		}
		out, err := unpack(data)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range in {
			if !bytes.Equal(in[i].Body, out[i].Body) {
				rt.Fatalf("body %d: %q became %q", i, in[i].Body, out[i].Body)
			}
			out[i].Body, in[i].Body = nil, nil
			in[i].ContentType = out[i].ContentType // JSON makes valid UTF-8 of it
		}
		if diff := cmp.Diff(in, out); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func FuzzADamagedBundleIsRefused(f *testing.F) {
	good, _ := pack([]delivery{{ID: "i", Org: "o", Source: "s", SHA256: "x", ReceivedAt: time.Unix(1, 0), Body: []byte("{}")}})
	f.Add(good)
	f.Add([]byte("[{\"id\":\"i\",\"org\":\"o\",\"source\":\"s\",\"sha256\":\"x\",\"received_at\":\"2026-05-04T09:10:02Z\",\"size\":99}]\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := unpack(data)
		for _, d := range all {
			if err != nil || d.ID == "" || len(d.Body) > len(data) {
				t.Errorf("%+v with %v", d, err)
			}
		}
	})
}

func TestDeliveriesGoTogetherOnlyWhileOneIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		g := &gatherer{publish: func(_ context.Context, all []delivery) (bool, error) {
			<-time.After(10 * time.Millisecond) // the disk, on the bubble's clock
			sizes = append(sizes, len(all))
			return len(all) == 1 && all[0].ID == "known", nil
		}}
		if known, err := g.keep(t.Context(), delivery{ID: "known"}); !known || err != nil {
			t.Errorf("alone: %v %v", known, err)
		}
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				started := time.Now()
				if known, err := g.keep(t.Context(), delivery{ID: fmt.Sprint(i), Body: make([]byte, 10)}); known || err != nil {
					t.Errorf("%d: %v %v", i, known, err)
				}
				if took := time.Since(started); took > 40*time.Millisecond {
					t.Errorf("%d waited %v", i, took)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if diff := cmp.Diff([]int{1, 1, 128, 128, 43}, sizes); diff != "" {
			t.Errorf("bundles:\n%s", diff)
		}
	})
}

func TestABundleIsBoundedInBytes(t *testing.T) {
	g := &gatherer{}
	for range 5 {
		g.waiting = append(g.waiting, &pending{d: delivery{Body: make([]byte, inlineLimit-1)}})
	}
	g.waiting = append(g.waiting, &pending{d: delivery{Object: "big", Body: make([]byte, MaxBody)}})
	var sizes []int
	for len(g.waiting) > 0 {
		sizes = append(sizes, len(g.take()))
	}
	if diff := cmp.Diff([]int{2, 2, 2}, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestAFailedBundleFailsForAllInItAndTheNextGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		calls := 0
		g := &gatherer{publish: func(context.Context, []delivery) (bool, error) {
			<-time.After(time.Millisecond)
			if calls++; calls == 2 {
				return false, away
			}
			return false, nil
		}}
		var wg sync.WaitGroup
		failed := make(chan bool, 10)
		for range 10 {
			wg.Go(func() {
				_, err := g.keep(t.Context(), delivery{})
				failed <- errors.Is(err, away)
			})
			synctest.Wait()
		}
		wg.Wait()
		n := 0
		for range 10 {
			if <-failed {
				n++
			}
		}
		if n != 9 {
			t.Errorf("%d failed, want the nine that waited for the first", n)
		}
		if _, err := g.keep(t.Context(), delivery{}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
