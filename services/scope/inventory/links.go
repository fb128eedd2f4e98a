package inventory

import (
	"context"

	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// People who are looked up one by one ask for their own links to duplicates;
// who needs all of them reads aliases.

// linkKey names a segment of links: segAliases leads from a duplicate to the
// number that stands for the person, segJoined from there to the duplicates.
type linkKey struct {
	kind  int64
	chunk uint32
}

// linked calls f with the numbers that a number is linked to.
func (p *people) linked(ctx context.Context, kind int64, number uint32, f func(other uint32, reason uint8)) error {
	key := linkKey{kind, number >> 16}
	body, known := p.links[key]
	if !known {
		var err error
		if body, err = readSegment(ctx, p.q, p.head, kind, 0, int64(key.chunk)); err != nil {
			return err
		}
		p.links[key] = body
	}
	err := eachAlias(body, func(low uint16, other uint32, reason uint8) {
		if low == uint16(number) {
			f(other, reason)
		}
	})
	if err != nil {
		return segmentError(kind, 0, int64(key.chunk), err)
	}
	return nil
}

// standsFor returns the number under which a person is told: the oldest of its
// duplicates', or its own.
func (p *people) standsFor(ctx context.Context, number uint32) (uint32, error) {
	oldest := number
	err := p.linked(ctx, segAliases, number, func(other uint32, _ uint8) { oldest = other })
	return oldest, err
}

// duplicates returns the further numbers of a person and why they were joined.
func (p *people) duplicates(ctx context.Context, number uint32) (all []event.PersonJoined, err error) {
	err = p.linked(ctx, segJoined, number, func(other uint32, reason uint8) {
		all = append(all, event.PersonJoined{Number: person.Number(other), Reason: reasonText(reason)})
	})
	return all, err
}

func reasonText(code uint8) string {
	if int(code) < len(joinReasons) {
		return joinReasons[code]
	}
	return ""
}
