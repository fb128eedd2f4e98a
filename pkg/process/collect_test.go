package process

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
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
	if p := gogc(); p != startPercent {
		t.Errorf("GOGC is %d until the first collection, want %d", p, startPercent)
	}
	runtime.GC()
	for range 1_000_000 { // what follows a collection runs beside it
		if gogc() == 300 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("GOGC is %d after the first collection, want 300", gogc())
}

func TestWhoAskedForNoCollectionGetsNone(t *testing.T) {
	before := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(before)
	CollectLater()
	if p := gogc(); p != math.MaxUint64 {
		t.Errorf("GOGC=off became %d", p)
	}
}
