// Package smtptest is a mail server for tests.
package smtptest

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a small mail server: it answers as its rules say and keeps what it took.
type Server struct {
	mu     sync.Mutex
	conns  int
	took   []string
	reply  func(line string) string // "" is the usual answer, "drop" closes
	listen net.Listener
}

// Start serves on loopback until the test ends. reply is asked for every command
// line, and for "." at the end of a message; it may be asked by several
// connections at once.
func Start(t testing.TB, reply func(line string) string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{reply: reply, listen: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() }) // the client closes first
	return s
}

func (s *Server) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	in := bufio.NewScanner(c)
	say := func(line string) { _, _ = fmt.Fprintf(c, "%s\r\n", line) }
	say("220 mail.test ESMTP")
	for in.Scan() {
		line := in.Text()
		if r := s.reply(line); r == "drop" {
			return
		} else if r != "" {
			say(r)
			continue
		}
		switch {
		case strings.HasPrefix(line, "EHLO"):
			say("250-mail.test\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES")
		case line == "DATA":
			say("354 go on")
			var body strings.Builder
			for in.Scan() && in.Text() != "." {
				body.WriteString(in.Text() + "\n")
			}
			switch r := s.reply("."); r {
			case "drop":
				return
			case "":
				s.mu.Lock()
				s.took = append(s.took, body.String())
				s.mu.Unlock()
				say("250 2.0.0 queued")
			default:
				say(r)
			}
		case line == "QUIT":
			say("221 bye")
			return
		default:
			say("250 2.0.0 ok")
		}
	}
}

// Port is the TCP port on 127.0.0.1.
func (s *Server) Port() int {
	addr, _ := s.listen.Addr().(*net.TCPAddr)
	return addr.Port
}

// Conns is how many connections were made.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Took returns every message that was taken, headers and content.
func (s *Server) Took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.took)
}
