package inventory

import (
	"context"
	"encoding/binary"
	"slices"
)

// move says that somebody lived elsewhere before a day.
type move struct {
	day    Day
	before uint16 // index into the jurisdictions
}

const moveSize = 2 + 4 + 2

func readMoves(ctx context.Context, q querier, h head, chunk uint32) (map[uint16]move, error) {
	moves := map[uint16]move{}
	return moves, eachMove(ctx, q, h, chunk, func(low uint16, m move) { moves[low] = m })
}

// eachMove calls f with the moves of a chunk.
func eachMove(ctx context.Context, q querier, h head, chunk uint32, f func(low uint16, m move)) error {
	body, err := readSegment(ctx, q, h, segMoves, 0, int64(chunk))
	if err != nil {
		return err
	}
	if len(body)%moveSize != 0 {
		return segmentError(segMoves, 0, int64(chunk), errSegment)
	}
	for ; len(body) > 0; body = body[moveSize:] {
		f(binary.LittleEndian.Uint16(body), move{Day(binary.LittleEndian.Uint32(body[2:])), binary.LittleEndian.Uint16(body[6:])})
	}
	return nil
}

func buildMoves(moves map[uint16]move) []byte {
	lows := make([]uint16, 0, len(moves))
	for low := range moves {
		lows = append(lows, low)
	}
	slices.Sort(lows)
	b := make([]byte, 0, moveSize*len(lows))
	for _, low := range lows {
		b = binary.LittleEndian.AppendUint16(b, low)
		b = binary.LittleEndian.AppendUint32(b, uint32(moves[low].day))
		b = binary.LittleEndian.AppendUint16(b, moves[low].before)
	}
	return b
}

// move notes the move that a record tells of, or that it tells of none.
func (p *placer) move(low uint16, attr attribute, record []byte) error {
	was, known := p.moves[low]
	if attr.channels&hasMoved == 0 {
		if known {
			delete(p.moves, low)
			p.moved = true
		}
		return nil
	}
	var who Person
	if err := who.decode(string(record)); err != nil {
		return err
	}
	before, err := p.d.term(0, who.Before)
	if err != nil {
		return err
	}
	if now := (move{who.MovedOn, before}); now != was {
		if p.moves == nil {
			p.moves = map[uint16]move{}
		}
		p.moves[low] = now
		p.moved = true
	}
	return nil
}

// moveBack puts people where they lived on the last day of the windows.
func (sc *scanner) moveBack(ctx context.Context, chunk uint32) error {
	return eachMove(ctx, sc.q, sc.head, chunk, func(low uint16, m move) {
		if m.day > sc.plan.asOf && sc.found.attrs.has(low) {
			a := sc.found.attrs.at(int(low))
			a.jurisdiction = m.before
			sc.found.attrs.set(int(low), a)
		}
	})
}
