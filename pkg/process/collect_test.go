package process

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func gogc() uint64 {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func TestTheFirstCollectionIsPutOffAndNoOther(t *testing.T) {
	before := debug.SetGCPercent(300)
	defer debug.SetGCPercent(before)
	CollectLater()
	if p := gogc(); p != 1600 {
		t.Errorf("GOGC is %d until the first collection, want 1600", p)
	}
	runtime.GC()
	for until := time.Now().Add(10 * time.Second); gogc() != 300; runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatalf("GOGC is %d after the first collection, want 300", gogc())
		}
	}
}

func TestWhoAskedForNoCollectionGetsNone(t *testing.T) {
	before := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(before)
	CollectLater()
	if p := gogc(); p != math.MaxUint64 {
		t.Errorf("GOGC=off became %d", p)
	}
}
