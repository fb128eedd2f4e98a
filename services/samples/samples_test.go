package samples

import "testing"

func TestTheFiveSampleOrganisationsLoad(t *testing.T) {
	r, err := Organisations()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"clearline", "mindloom", "nimbus", "tidewater", "vardag"}
	all := r.All()
	if len(all) != len(want) {
		t.Fatalf("%d organisations, want %d", len(all), len(want))
	}
	for i, o := range all {
		if o.ID != want[i] {
			t.Errorf("organisation %d is %s, want %s", i, o.ID, want[i])
		}
	}
	if nimbus, _ := r.Get("nimbus"); nimbus.Contact != nil {
		t.Error("nimbus names no contact point; sending for it must be refused")
	}
}
