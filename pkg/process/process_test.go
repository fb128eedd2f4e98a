package process_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tocsin.dev/pkg/process"
)

// story notes what happened in order.
type story struct {
	mu    sync.Mutex
	lines []string
}

func (s *story) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *story) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, ", ")
}

// part tells its life to s.
func part(s *story, name string) process.Part {
	return process.Part{
		Name:  name,
		Start: func(context.Context) error { s.tell("start %s", name); return nil },
		Run:   func(ctx context.Context) error { <-ctx.Done(); s.tell("end %s", name); return ctx.Err() },
		Stop:  func(context.Context) error { s.tell("stop %s", name); return nil },
	}
}

func group(parts ...process.Part) *process.Group {
	g := &process.Group{Log: slog.New(slog.DiscardHandler), StopTimeout: time.Second}
	for _, p := range parts {
		g.Add(p)
	}
	return g
}

func TestPartsStartInOrderAndStopTheOtherWayRound(t *testing.T) {
	var s story
	ctx, cancel := context.WithCancel(t.Context())
	g := group(part(&s, "bus"), process.Part{Name: "store", Stop: func(context.Context) error { s.tell("stop store"); return nil }}, part(&s, "desk"))
	if err := g.Run(ctx, cancel); err != nil {
		t.Errorf("a clean stop gives %v", err)
	}
	if got, want := s.String(), "start bus, start desk, end desk, stop desk, stop store, end bus, stop bus"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAFailingStartStopsWhatWasStarted(t *testing.T) {
	var s story
	bad := part(&s, "bad")
	bad.Start = func(context.Context) error { return errors.New("no port") }
	err := group(part(&s, "one"), bad, part(&s, "three")).Run(t.Context(), func() { t.Error("ready in spite of it") })
	if err == nil || err.Error() != "start bad: no port" {
		t.Errorf("error = %v", err)
	}
	if got := s.String(); got != "start one, end one, stop one" {
		t.Errorf("got %s", got)
	}
}

func TestTheFirstErrorOfARunningPartStopsAllAndWins(t *testing.T) {
	for name, c := range map[string]struct {
		run  func(context.Context) error
		want string
	}{
		"fails":         {func(context.Context) error { return errors.New("disk full") }, "ledger: disk full"},
		"simply ends":   {func(context.Context) error { return nil }, "ledger: ended without being asked to"},
		"ends canceled": {func(context.Context) error { return context.Canceled }, "ledger: context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			var s story
			last := part(&s, "last")
			last.Stop = func(context.Context) error { return errors.New("later trouble") }
			err := group(part(&s, "one"), process.Part{Name: "ledger", Run: c.run}, last).Run(t.Context(), nil)
			if err == nil || err.Error() != c.want {
				t.Errorf("error = %v, want %s", err, c.want)
			}
			if !strings.HasSuffix(s.String(), "end one, stop one") {
				t.Errorf("got %s", s.String())
			}
		})
	}
}

func TestAPartThatHangsIsLeftBehindInBoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		release := make(chan struct{})
		hanging := process.Part{Name: "hanging", Run: func(context.Context) error { <-release; return nil },
			Stop: func(context.Context) error { s.tell("pulled the ground away"); return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		err := group(part(&s, "one"), hanging).Run(ctx, cancel)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the stop took %v", took)
		}
		if !errors.Is(err, process.ErrStopTimeout) || !strings.Contains(err.Error(), "hanging") {
			t.Errorf("error = %v", err)
		}
		if got := s.String(); got != "start one, end one, stop one" {
			t.Errorf("got %s", got)
		}
		close(release)
	})
}

func TestAnInterruptionWhileStartingIsACleanStop(t *testing.T) {
	var s story
	ctx, cancel := context.WithCancel(t.Context())
	slow := process.Part{Name: "slow", Start: func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }}
	if err := group(part(&s, "one"), slow).Run(ctx, nil); err != nil {
		t.Errorf("error = %v", err)
	}
	if got := s.String(); got != "start one, end one, stop one" {
		t.Errorf("got %s", got)
	}
}

func TestALockedFolderIsNamedWithItsHolder(t *testing.T) {
	if folder := os.Getenv("PROCESS_TEST_HOLD"); folder != "" {
		if _, err := process.LockFolder(folder); err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		select {} // until killed
	}
	folder := t.TempDir() + "/data"
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$") //nolint:gosec // this test itself
	other.Env = append(os.Environ(), "PROCESS_TEST_HOLD="+folder)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	_, err = process.LockFolder(folder)
	if !errors.Is(err, process.ErrFolderLocked) || !strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), "process "+strconv.Itoa(other.Process.Pid)) {
		t.Errorf("error = %v, want one naming the folder and process %d", err, other.Process.Pid)
	}
	// A crash leaves nothing to clean up.
	if err := other.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	lock, err := process.LockFolder(folder)
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}
