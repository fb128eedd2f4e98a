package natsd

import "testing"

func TestTheEmbeddedServerSyncsEveryMessageAndReportsToNobody(t *testing.T) {
	s := &Server{users: passwords(nil)}
	opts, err := s.options(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if !opts.SyncAlways || !opts.JetStream || !opts.DontListen || opts.HTTPPort != 0 || opts.JetStreamDomain != "tocsin" {
		t.Errorf("sync always %v, JetStream %v, silent %v, monitor port %d, domain %q", opts.SyncAlways, opts.JetStream, opts.DontListen, opts.HTTPPort, opts.JetStreamDomain)
	}
}

func TestEveryRunHasItsOwnPasswords(t *testing.T) {
	a, b := passwords(nil), passwords(map[string]string{Admin: "given"})
	if b[Admin] != "given" {
		t.Error("a given password was replaced")
	}
	for _, u := range append(Users(), sysUser) {
		if len(a[u]) < 32 || a[u] == b[u] {
			t.Errorf("the password of %s is short or repeated", u)
		}
	}
}
