package process

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAProfileIsWholeOnceItsEndHasReturned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu.pprof")
	stop, err := ProfileCPU(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil || len(whole) < 2 || whole[0] != 0x1f || whole[1] != 0x8b {
		t.Errorf("%d bytes that are no compressed profile: %v", len(whole), err)
	}
	if _, err := ProfileCPU(filepath.Join(t.TempDir(), "nowhere", "cpu.pprof")); err == nil {
		t.Error("a profile was begun in a folder that is not there")
	}
}
