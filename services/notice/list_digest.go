package notice

import (
	"fmt"

	"tocsin.dev/pkg/seal"
)

// sum adds a page of the list to the digest of what scope hands over and, after
// the last page, holds it against the digest that was approved: nobody is
// written to before the whole list has turned out to be the sealed one. wrong
// says what is not. A correction walks the ledger and not a list (correction.go).
func (p *plan) sum(page listed, approved string) (wrong string, err error) {
	d := seal.NewListDigest(p.org)
	switch {
	case p.nextPlace > 0 && p.digest == nil:
		return "a part of the list was planned by a version that kept no digest of it; resume the order, and the list is planned anew", nil
	case p.nextPlace > 0:
		if d, err = seal.ResumeListDigest(p.digest); err != nil {
			return "", fmt.Errorf("order %s: %w", p.order, err)
		}
	}
	if len(page.erased) != len(page.erasedExposed) {
		return fmt.Sprintf("scope names %d erased people and what was exposed of %d", len(page.erased), len(page.erasedExposed)), nil
	}
	erased := 0
	addErased := func(below uint32) {
		for ; erased < len(page.erased) && uint32(page.erased[erased]) < below; erased++ {
			d.Add(uint32(page.erased[erased]), uint32(page.erasedExposed[erased]))
		}
	}
	for _, who := range page.people {
		addErased(uint32(who.named.Number))
		d.Add(uint32(who.named.Number), uint32(who.named.Exposed))
	}
	addErased(^uint32(0))
	if page.last && d.Sum() != approved {
		return fmt.Sprintf("the %d people that scope hands over have the digest %s, and the approved list has %s", p.people, d.Sum(), approved), nil
	}
	p.digest, err = d.State()
	return "", err
}
