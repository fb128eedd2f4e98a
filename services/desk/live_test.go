package desk

import (
	"net/http/httptest"
	"testing"
)

func TestAStreamThatEndedTwiceIsCountedOnce(t *testing.T) {
	s, u := &Service{}, User{ID: "ana"}
	open := func() (end func()) {
		t.Helper()
		_, _, end, err := s.openStream(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), u)
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	one := open()
	for range maxStreams - 1 {
		t.Cleanup(open())
	}
	one()
	one()
	t.Cleanup(open())
	if _, _, _, err := s.openStream(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), u); err == nil {
		t.Errorf("%d streams are open at a time", maxStreams+1)
	}
}
