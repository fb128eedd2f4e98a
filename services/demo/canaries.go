package demo

import (
	"context"
	"fmt"

	"tocsin.dev/pkg/category"
	"tocsin.dev/services/app/suite"
	"tocsin.dev/services/scope/inventory"
)

// PopulateCanaries imports made-up people whose names, addresses and numbers
// occur nowhere else, and returns these texts, so that a test can look for
// them where they must not be.
func (in *Installation) PopulateCanaries(ctx context.Context, r *suite.Running, org string, people int) ([]string, error) {
	d, err := r.Scope.Inventory().Deliver(ctx, org, "canaries")
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // after Commit there is nothing left to lose
	held, err := category.ParseAll([]string{"name", "email", "phone", "password"})
	if err != nil {
		return nil, err
	}
	d.System(inventory.System{Key: "aviary", Name: "Aviary"})
	if err := d.Dataset(inventory.Dataset{Key: "canaries", System: "aviary", Name: "Canaries", Categories: held, Role: "controller", Medium: "electronic"}); err != nil {
		return nil, err
	}
	var texts []string
	for i := range people {
		p := inventory.Person{
			Ref: fmt.Sprintf("canary-%d", i), Given: fmt.Sprintf("Canaria%dz", i), Family: fmt.Sprintf("Quillfeather%dz", i),
			Email: fmt.Sprintf("quillfeather.%d@aviary.example.test", i), Phone: fmt.Sprintf("+4477009%05d", 90000+i),
			Address: []string{fmt.Sprintf("%d Featherstonehaugh Mews", 7000+i), "Exampleton"}, Language: "en-GB", Jurisdiction: "GB",
		}
		if i%5 == 0 { // reached by SMS only
			p.Email = ""
		} else {
			texts = append(texts, p.Email)
		}
		ordinal, err := d.Person(&p, inventory.Origin{Line: uint32(i + 1)})
		if err != nil {
			return nil, err
		}
		if err := d.HoldingOf(ordinal, inventory.Holding{Dataset: "canaries", First: 1}, inventory.Origin{Line: uint32(i + 1)}); err != nil {
			return nil, err
		}
		texts = append(texts, p.Given, p.Family, p.Phone, p.Address[0])
	}
	_, err = d.Commit(ctx, "canaries", false)
	return texts, err
}
