package bench
import ("testing";"syscall";"time";"path/filepath")
func TestProf(t *testing.T) {
	var u0 syscall.Rusage
	Run(t.Context(), Options{People: 1_000_000, Seed: 1, Dir: t.TempDir(), Report: func(s Step) {
	 var u syscall.Rusage; syscall.Getrusage(syscall.RUSAGE_SELF,&u)
	 t.Logf("%-36s %8.3f s CPU (user %v sys %v) %8.3f s wall %6.0f MB %12.0f /s  %s", s.Name, s.CPU, time.Duration(u.Utime.Nano()-u0.Utime.Nano()), time.Duration(u.Stime.Nano()-u0.Stime.Nano()), s.Wall, s.PeakMB, s.PerSecond, s.Note); u0=u }})
	_ = filepath.Join
}
