package law

import (
	"sync"
	"testing"
)

var load = sync.OnceValues(Default)

func rules(t testing.TB) *Rules {
	t.Helper()
	r, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryRuleRecordLoadsAndEveryCaseComesOut(t *testing.T) {
	rep := Check(Files())
	if !rep.OK() {
		t.Error(rep)
	}
	t.Log(rep.Rules, "rules,", rep.Cases, "cases")
}
