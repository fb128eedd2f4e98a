package process

import (
	"runtime"
	"runtime/debug"
)

// startHeap is up to where the heap may grow before its first collection.
const startHeap = 64 << 20

// goMinHeap is the heap at which Go collects first, by GOGC=100; it is in
// proportion to GOGC (runtime/mgcpacer.go, defaultHeapMinimum).
const goMinHeap = 4 << 20

// CollectLater puts off the first garbage collection. A process that starts
// allocates mostly what it keeps, and looks through it three times before it has
// reached what it needs anyway. From the first collection on GOGC counts again.
func CollectLater() {
	percent := debug.SetGCPercent(startHeap / goMinHeap * 100)
	if percent < 0 || percent >= startHeap/goMinHeap*100 {
		debug.SetGCPercent(percent)
		return
	}
	first := new([64]byte)
	runtime.AddCleanup(first, func(percent int) { debug.SetGCPercent(percent) }, percent)
}
