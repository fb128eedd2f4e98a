package bench

import (
	"testing"
)

// BenchmarkScope runs every step once on a hundred thousand people. Larger
// numbers are measured with «tocsin bench scope».
func BenchmarkScope(b *testing.B) {
	for b.Loop() {
		steps, err := Run(b.Context(), Options{People: 100_000, Seed: 1, CSV: true, Reference: true, Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range steps {
			b.Logf("%-36s %8.3f s CPU %8.3f s wall %6.0f MB %12.0f /s  %s", s.Name, s.CPU, s.Wall, s.PeakMB, s.PerSecond, s.Note)
		}
	}
}
