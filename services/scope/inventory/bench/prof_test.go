package bench
import ("testing";"fmt";"os")
func TestProf(t *testing.T) {
	if os.Getenv("TENM") == "" { t.Skip() }
	_, err := Run(t.Context(), Options{People: 10_000_000, Seed: 1, Dir: t.TempDir(), Report: func(s Step) { fmt.Printf("%-36s %8.3f s CPU %8.3f s wall %6.0f MB %12.0f /s  %s\n", s.Name, s.CPU, s.Wall, s.PeakMB, s.PerSecond, s.Note) }})
	if err != nil { t.Fatal(err) }
}
