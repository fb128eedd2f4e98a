package rulebook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin.dev/pkg/law"
)

// Keys of the bucket: the archive by digest, proposals by organisation and
// digest, and the acceptance that holds.
const (
	bodyPrefix     = "body."
	proposalPrefix = "proposal."
	activePrefix   = "active."
)

// Errors that callers branch on.
var (
	// ErrNoProposal means that the organisation has no proposal of that digest.
	ErrNoProposal = errors.New("no such proposal")
	// ErrSamePerson means that the proposer tried to accept.
	ErrSamePerson = errors.New("the person who proposes a rule package cannot accept it")
	// ErrProblems means that a package does not pass its own check.
	ErrProblems = errors.New("the rule package has problems")
)

// Package is a proposed rule package.
type Package struct {
	Digest string `json:"digest"`
	// Version is the digest of its rules as duties name it.
	Version    string    `json:"version"`
	Rules      int       `json:"rules"`
	Cases      int       `json:"cases"`
	ProposedBy string    `json:"proposed_by"`
	ProposedAt time.Time `json:"proposed_at"`
	Note       string    `json:"note,omitempty"`
	// Active says that it holds now; AcceptedBy and AcceptedAt say who made it so.
	Active     bool      `json:"active"`
	AcceptedBy string    `json:"accepted_by,omitempty"`
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
}

// Inspect checks a packed rule package for an organisation and returns its
// rules with the organisation's own. The problems of a package that fails its
// check are returned with ErrProblems.
func (b *Book) Inspect(org string, packed []byte) (*law.Rules, Package, []string, error) {
	files, digest, err := Unpack(packed)
	if err != nil {
		return nil, Package{}, nil, err
	}
	report := law.Check(files)
	p := Package{Digest: digest, Version: report.Version, Rules: report.Rules, Cases: report.Cases}
	if !report.OK() {
		return nil, p, report.Problems, fmt.Errorf("rule package %.12s: %w", digest, ErrProblems)
	}
	rules, err := law.Load(files)
	if err == nil {
		rules, err = b.combine(rules, org)
	}
	if err != nil {
		return nil, p, strings.Split(err.Error(), "\n"), fmt.Errorf("rule package %.12s: %w", digest, ErrProblems)
	}
	return rules, p, nil, nil
}

// BuiltIn returns the built-in rule package, packed.
func BuiltIn() ([]byte, error) { return Pack(law.Files()) }

// Propose keeps a checked package as a proposal of a person. Proposing the
// same package again changes nothing, least of all who proposed it.
func (b *Book) Propose(ctx context.Context, org, person, note string, packed []byte) (Package, []string, error) {
	_, p, problems, err := b.Inspect(org, packed)
	if err != nil {
		return p, problems, err
	}
	kv, err := b.bucket(ctx)
	if err != nil {
		return p, nil, err
	}
	p.ProposedBy, p.ProposedAt, p.Note = person, b.cfg.Now().UTC().Truncate(time.Second), note
	record, err := json.Marshal(p)
	if err != nil {
		return p, nil, fmt.Errorf("propose rule package %.12s: %w", p.Digest, err)
	}
	if _, err := kv.Create(ctx, bodyPrefix+p.Digest, packed); err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return p, nil, fmt.Errorf("keep rule package %.12s: %w", p.Digest, err)
	}
	if _, err := kv.Create(ctx, proposalPrefix+org+"."+p.Digest, record); errors.Is(err, jetstream.ErrKeyExists) {
		p, err = b.proposal(ctx, org, p.Digest)
		return p, nil, err
	} else if err != nil {
		return p, nil, fmt.Errorf("propose rule package %.12s: %w", p.Digest, err)
	}
	return p, nil, nil
}

// Accept makes a proposed package hold for the organisation. The digest may be
// shortened to 12 characters or more. The proposer is refused.
func (b *Book) Accept(ctx context.Context, org, person, digest string) (Package, error) {
	kv, err := b.bucket(ctx)
	if err != nil {
		return Package{}, err
	}
	p, err := b.proposal(ctx, org, digest)
	switch {
	case err != nil:
		return p, err
	case p.ProposedBy == person:
		return p, fmt.Errorf("rule package %.12s: %w", p.Digest, ErrSamePerson)
	case p.Active:
		return p, nil
	}
	if _, err := b.load(ctx, kv, p.Digest); err != nil {
		return p, err
	}
	a := Acceptance{Digest: p.Digest, ProposedBy: p.ProposedBy, AcceptedBy: person, AcceptedAt: b.cfg.Now().UTC().Truncate(time.Second)}
	value, err := json.Marshal(a)
	if err != nil {
		return p, fmt.Errorf("accept rule package %.12s: %w", p.Digest, err)
	}
	if _, err := kv.Put(ctx, activePrefix+org, value); err != nil {
		return p, fmt.Errorf("accept rule package %.12s: %w", p.Digest, err)
	}
	p.Active, p.AcceptedBy, p.AcceptedAt = true, a.AcceptedBy, a.AcceptedAt
	b.take(ctx, kv, org, value) // the other replicas hear of it by their watch
	return p, nil
}

// Packages returns the proposals of an organisation, newest first.
func (b *Book) Packages(ctx context.Context, org string) ([]Package, error) {
	kv, err := b.bucket(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := kv.ListKeysFiltered(ctx, proposalPrefix+org+".*")
	if err != nil {
		return nil, fmt.Errorf("list rule packages of %s: %w", org, err)
	}
	var names []string
	for k := range keys.Keys() {
		names = append(names, k)
	}
	var out []Package
	for _, k := range names {
		e, err := kv.Get(ctx, k)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", k, err)
		}
		var p Package
		if err := json.Unmarshal(e.Value(), &p); err != nil {
			return nil, fmt.Errorf("read %s: %w", k, err)
		}
		out = append(out, b.marked(org, p))
	}
	slices.SortFunc(out, func(x, y Package) int {
		if n := y.ProposedAt.Compare(x.ProposedAt); n != 0 {
			return n
		}
		return strings.Compare(x.Digest, y.Digest)
	})
	return out, nil
}

// Rules returns the rules of one of the organisation's proposals, with its own.
func (b *Book) Rules(ctx context.Context, org, digest string) (*law.Rules, error) {
	kv, err := b.bucket(ctx)
	if err != nil {
		return nil, err
	}
	p, err := b.proposal(ctx, org, digest)
	if err != nil {
		return nil, err
	}
	rules, err := b.load(ctx, kv, p.Digest)
	if err != nil {
		return nil, err
	}
	return b.combine(rules, org)
}

// proposal finds a proposal by its digest or the beginning of it.
func (b *Book) proposal(ctx context.Context, org, digest string) (Package, error) {
	all, err := b.Packages(ctx, org)
	if err != nil {
		return Package{}, err
	}
	digest = strings.TrimPrefix(digest, "sha256:")
	all = slices.DeleteFunc(all, func(p Package) bool { return len(digest) < 12 || !strings.HasPrefix(p.Digest, digest) })
	if len(all) != 1 {
		return Package{}, fmt.Errorf("rule package %q: %w", digest, ErrNoProposal)
	}
	return all[0], nil
}

func (b *Book) marked(org string, p Package) Package {
	if a, ok := b.Active(org); ok && a.Digest == p.Digest {
		p.Active, p.AcceptedBy, p.AcceptedAt = true, a.AcceptedBy, a.AcceptedAt
	}
	return p
}
