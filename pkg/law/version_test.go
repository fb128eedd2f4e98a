package law

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

// A holiday that moves can move a duty, so two packages that differ in a
// calendar only must not share a version; their cases decide nothing.
func TestTheVersionNamesEverythingThatDecidesADuty(t *testing.T) {
	version := func(change map[string]string) string {
		files := fstest.MapFS{}
		err := fs.WalkDir(Files(), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(Files(), name)
			files[name] = &fstest.MapFile{Data: append(data, change[name]...)}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Load(files)
		if err != nil {
			t.Fatal(err)
		}
		return r.Version()
	}
	same := version(nil)
	if r := rules(t); r.Version() != same {
		t.Errorf("the same files give %s and %s", r.Version(), same)
	}
	if version(map[string]string{"rules/eu/gdpr.cases.yaml": "# a remark\n"}) != same {
		t.Error("a remark in the cases changes the version")
	}
	for name, line := range map[string]string{"rules/eu/gdpr.yaml": "# x\n", "data/vocabulary.yaml": "# x\n", "calendars/SE.csv": ",2032-12-30,a day off\n"} {
		if version(map[string]string{name: line}) == same {
			t.Errorf("a change of %s leaves the version as it was", name)
		}
	}
}
