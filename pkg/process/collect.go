package process

import (
	"runtime"
	"runtime/debug"
)

// startPercent lets the heap grow to 64 MB before its first collection: Go
// collects first at 4 MB by GOGC=100 and in proportion to it (runtime/mgcpacer.go,
// defaultHeapMinimum).
const startPercent = 1600

// CollectLater puts off the first garbage collection. A process that starts
// allocates mostly what it keeps, and looks through it three times before it has
// reached what it needs anyway. From the first collection on GOGC counts again.
func CollectLater() {
	percent := debug.SetGCPercent(startPercent)
	if percent < 0 || percent >= startPercent { // off, or later still
		debug.SetGCPercent(percent)
		return
	}
	runtime.AddCleanup(new([64]byte), func(percent int) { debug.SetGCPercent(percent) }, percent)
}
