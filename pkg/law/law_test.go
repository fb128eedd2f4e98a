package law

import (
	"flag"
	"io/fs"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
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

var only = flag.String("only", "", "show only problems of rule files that match, and leave out other files that do not load")

// TestTheRuleFilesOfOneAuthor is for work on a few files while others are half written:
// go test ./pkg/law -run OneAuthor -only us/states/new-
func TestTheRuleFilesOfOneAuthor(t *testing.T) {
	if *only == "" {
		t.Skip("needs -only")
	}
	mine := regexp.MustCompile(*only)
	files := fstest.MapFS{}
	if err := fs.WalkDir(embedded, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(embedded, name)
		files[name] = &fstest.MapFile{Data: data}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`rules/[^\s:]+?\.yaml`)
	for range 20 {
		rep := Check(files)
		dropped := false
		for _, p := range rep.Problems {
			name := strings.Replace(named.FindString(p), ".cases.yaml", ".yaml", 1)
			if mine.MatchString(name) {
				continue
			}
			if _, ok := files[name]; ok {
				delete(files, name)
				delete(files, strings.TrimSuffix(name, ".yaml")+".cases.yaml")
				dropped = true
			}
		}
		if dropped {
			continue
		}
		for _, p := range rep.Problems {
			t.Error(p)
		}
		t.Log(rep.Rules, "rules,", rep.Cases, "cases loaded")
		return
	}
}
