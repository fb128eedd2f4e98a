package sandbox

import (
	"time"
)

// store records the messages of one request and plans their lives, in one step under the lock: once
// it returns they count as accepted. details run parallel to entries.
func (s *Service) store(env *envelope, entries []entry, details []detail) {
	r := s.record
	r.mu.Lock()
	defer r.mu.Unlock()
	base := r.count
	r.byID[env.id] = base
	steps := make([]step, 0, 2*len(entries))
	for i := range entries {
		entries[i].env.first = base
		first := entries[i].firstState()
		entries[i].state = first
		index := r.add(entries[i], details[i])
		r.note(index, happening{At: env.at, Status: first.String()})
		steps = s.plan(steps, index, &entries[i])
	}
	if env.channel == sms {
		s.callbacks.push(steps...)
		return
	}
	s.events.push(steps...)
}

// firstState is the state in the answer to the request.
func (e *entry) firstState() state {
	switch {
	case !e.env.sendAt.IsZero():
		return scheduled
	case e.env.channel == sms && e.env.service == "":
		return queued
	}
	return accepted
}

// plan appends what will happen to a message, one StepDelay apart, from its send_at on.
func (s *Service) plan(steps []step, index uint32, e *entry) []step {
	at := e.env.at
	add := func(to state) {
		at = at.Add(s.cfg.StepDelay)
		steps = append(steps, step{at: at.UnixNano(), message: index, to: to, era: s.record.era})
	}
	if e.env.channel == email && e.fate != fateDroppedBounce && e.fate != fateDroppedSpam && e.fate != fateDroppedUnsubscribed {
		add(processed) // at once, also when the mail is scheduled
	}
	if !e.env.sendAt.IsZero() {
		at = e.env.sendAt
	}
	for _, to := range e.rest() {
		add(to)
	}
	return steps
}

// rest is the states of a message after the first, and for a mail after processed.
func (e *entry) rest() []state {
	if e.env.channel == sms {
		var before []state
		if e.env.service != "" {
			before = []state{queued}
		}
		switch e.fate {
		case fateFailed:
			return append(before, failed)
		case fateUndelivered:
			return append(before, sent, undelivered)
		case fateSilent:
			return append(before, sent)
		}
		return append(before, sent, delivered)
	}
	switch e.fate {
	case fateBounced:
		return onlyBounced
	case fateBlocked:
		return onlyBlocked
	case fateDeferred:
		return deferredFirst
	case fateComplained:
		return complainedLast
	case fateSilent:
		return nil
	case fateDroppedBounce, fateDroppedSpam, fateDroppedUnsubscribed:
		return onlyDropped
	}
	return onlyDelivered
}

var (
	onlyDelivered  = []state{delivered}
	onlyBounced    = []state{bounced}
	onlyBlocked    = []state{blocked}
	onlyDropped    = []state{dropped}
	deferredFirst  = []state{deferred, delivered}
	complainedLast = []state{delivered, complained}
)

// happen applies due steps to the record and returns those whose callback is to be delivered now.
// The faults of receipts are decided here: lost ones end, late and shuffled ones go back into the
// outbox, tripled ones multiply.
func (s *Service) happen(due []step) []step {
	f := s.faults.Load()
	now := s.cfg.Now()
	out := due[:0]
	var later, laterSMS []step
	s.record.mu.Lock()
	for _, st := range due {
		if st.era != s.record.era || st.message >= s.record.count {
			continue
		}
		e := s.record.at(st.message)
		if st.flags&stepHappened != 0 {
			out = append(out, st)
			continue
		}
		back := &later
		if e.env.channel == sms {
			back = &laterSMS
		}
		if again := s.apply(e, &st, now); again {
			*back = append(*back, st)
			continue
		}
		if !s.hasReceipt(e, st, f) {
			continue
		}
		s.multiply(&out, back, st, f, now)
	}
	s.record.mu.Unlock()
	s.events.push(later...)
	s.callbacks.push(laterSMS...)
	return out
}

// apply moves a message to the state of a step. It returns true when the step has to wait because
// its batch is paused.
func (s *Service) apply(e *entry, st *step, now time.Time) (again bool) {
	if e.state == cancelled {
		st.to = accepted // void: no receipt
		return false
	}
	if e.env.batchID != "" && st.to != processed && !e.env.sendAt.IsZero() {
		switch s.queues.stopped(e.env.batchID, e.env.sendAt) {
		case "cancel":
			st.to = cancelled
		case "pause":
			if now.Sub(e.env.sendAt) < maxScheduleAhead {
				st.at = now.Add(time.Second).UnixNano()
				return true
			}
			st.to = cancelled // a pause that outlives its message cancels it
		}
	}
	if !(st.to == processed && e.state == scheduled) {
		e.state = st.to
	}
	if st.to == undelivered || st.to == failed {
		code, _ := e.outcomeCode()
		e.code = code
	}
	if st.to == bounced {
		s.lists.put(bouncedBefore, e.piece(e.to))
	}
	s.record.note(st.message, happening{At: time.Unix(0, st.at), Status: st.to.String(), Detail: e.reason(st.to)})
	return false
}

// outcomeCode is the Twilio error code an SMS ends with, read from its number again.
func (e *entry) outcomeCode() (uint16, fate) {
	_, f, code := phoneFate(e.piece(e.to))
	return code, f
}

// reason is what the vendor writes beside a state.
func (e *entry) reason(to state) string {
	switch to {
	case bounced:
		return "550 5.1.1 The email account does not exist"
	case blocked:
		return "451 4.7.1 Message refused, try again later"
	case deferred:
		return "421 4.4.5 Server busy, try again later"
	case delivered:
		if e.env.channel == email {
			return "250 2.0.0 OK"
		}
	case cancelled:
		return "Scheduled send cancelled"
	case dropped:
		switch e.fate {
		case fateDroppedSpam:
			return "Spam Reporting Address"
		case fateDroppedUnsubscribed:
			return "Unsubscribed Address"
		}
		return "Bounced Address"
	case undelivered, failed:
		code, _ := e.outcomeCode()
		return outcomeWords[code]
	}
	return ""
}

// hasReceipt says whether a step is reported at all.
func (s *Service) hasReceipt(e *entry, st step, f *faulty) bool {
	if e.fate == fateMute || st.to == accepted {
		return false
	}
	if e.env.channel == sms && e.env.callback == "" || e.env.channel == email && *s.hook.Load() == "" {
		return false
	}
	if f.Receipts.Lost > 0 && uniform(f.Seed, uint64(st.message)<<8|uint64(st.to), 21) < f.Receipts.Lost {
		s.stats.receiptsLost.Add(1)
		return false
	}
	return true
}

// multiply puts the callbacks of a step into out, or into back when they are to come later.
func (s *Service) multiply(out, back *[]step, st step, f *faulty, now time.Time) {
	st.flags |= stepHappened
	n := uint64(st.message)<<8 | uint64(st.to)
	if f.Receipts.WithoutCustomArgs > 0 && uniform(f.Seed, n, 22) < f.Receipts.WithoutCustomArgs {
		st.flags |= stepWithoutArgs
	}
	copies := 1
	if f.Receipts.Tripled > 0 && uniform(f.Seed, n, 23) < f.Receipts.Tripled {
		copies = 3
	}
	for i := range copies {
		one := st
		delay := f.Receipts.Delayed.draw(f.Seed, n*3+uint64(i), 24)
		if f.Receipts.Shuffled {
			delay += time.Duration(uniform(f.Seed, n*3+uint64(i), 25) * 10 * float64(s.cfg.StepDelay))
		}
		if i > 0 {
			one.flags |= stepCopy
		}
		if i == 2 {
			one.flags |= stepNewID
		}
		if delay == 0 {
			*out = append(*out, one)
			continue
		}
		one.at = now.Add(delay).UnixNano()
		*back = append(*back, one)
	}
}
