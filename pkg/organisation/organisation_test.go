package organisation

import (
	"strings"
	"testing"
	"testing/fstest"
)

const good = "id: a\nname: A\nlanguage: en\nzone: Europe/London\nlaw: {establishments: [], kinds: [controller]}\nchannels: [email]\nsender: {}\napproval: {}\n"

func TestDefaultsAskForASecondPersonAndRemindFiveTimes(t *testing.T) {
	r, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(good)}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := r.Get("a")
	if err != nil {
		t.Fatal(err)
	}
	if o.Approval.Eyes != 1 || o.Approval.ValidHours != 72 || len(o.ReminderHours) != 5 {
		t.Errorf("defaults = %+v, %v", o.Approval, o.ReminderHours)
	}
}

// withPolicy is the good file with something more in its approval policy.
func withPolicy(more string) string {
	return strings.Replace(good, "approval: {", "approval: {"+more+", ", 1)
}

func TestABadFileIsNamedWithItsField(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"unknown field":        {good + "colour: red\n", "line 9"},
		"no name":              {strings.Replace(good, "name: A", "name: ''", 1), "name is missing"},
		"bad zone":             {strings.Replace(good, "Europe/London", "Mars/Olympus", 1), "Mars/Olympus"},
		"stricter for nothing": {withPolicy("stricter: [{eyes: 2}]"), "stricter[0] names neither"},
		"stricter by nothing":  {withPolicy("stricter: [{duty: us-hipaa}]"), "stricter[0] demands nothing"},
		"nobody left":          {withPolicy("stricter: [{duty: us-hipaa, roles: [admin]}]"), "stricter[0].roles"},
		"stricter for one":     {withPolicy("one_person: true, stricter: [{language: sv, eyes: 2}]"), "one_person"},
		"bad doubt policy":     {good + "in_doubt: guess\n", "in_doubt is \"guess\"; want one of [resend hold cancel]"},
	} {
		_, err := Load(fstest.MapFS{"bad.yaml": {Data: []byte(c.data)}})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "bad.yaml") {
			t.Errorf("%s: error = %v, want mention of bad.yaml and %q", name, err, c.want)
		}
	}
	if _, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(good)}, "b.yaml": {Data: []byte(good)}}); err == nil {
		t.Error("two files with one id must be refused")
	}
}
