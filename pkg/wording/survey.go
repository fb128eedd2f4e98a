package wording

import (
	"cmp"
	"slices"

	"tocsin.dev/pkg/category"
	"tocsin.dev/pkg/event"
	"tocsin.dev/pkg/person"
)

// maxVariants bounds the forms of one text that a Survey counts apart; people
// who meet yet another combination are counted as one.
const maxVariants = 4096

// Survey lays a set of texts over a stream of people and counts what each
// would get and lack. Its memory does not grow with the people. It is not safe
// for concurrent use; several can be merged.
type Survey struct {
	texts []*surveyed
	keys  []event.TextKey
	// home is the organisation's language; fallBack whether it serves readers
	// of languages without a text.
	home     string
	fallBack bool
	// readers caches which texts a reader of a language gets, by audience.
	readers [2]map[string]*reader
	// card is the exposed card; samples runs parallel to sampleKinds.
	card    category.Set
	samples [len(sampleKinds)]lack
	out     event.WordingAnswer
}

// sampleKinds are the ways of being worth a look, in the order in which they are shown.
var sampleKinds = [...]string{"no_name", "no_given_name", "minor", "payment_card", "other_language", "unknown_language", "unreachable"}

// surveyed is one text with what was counted of it.
type surveyed struct {
	t        *Template
	variants map[uint64]*form
	last     *form
	// further holds those who meet combinations beyond maxVariants.
	further       map[Field]*lack
	furtherPeople int64
}

// form is a text for everybody who meets the same conditions.
type form struct {
	id     uint64
	fields []Field
	people int64
	first  []person.Number
	// lacks runs parallel to fields.
	lacks []lack
}

type lack struct {
	people  int64
	numbers []person.Number
}

func (l *lack) add(n person.Number) {
	l.people++
	if len(l.numbers) < event.NamedPeople {
		l.numbers = append(l.numbers, n)
	}
}

// surveyChannels are the text channels on which people can be told one by one;
// a letter goes by post or fax.
var surveyChannels = [...]string{"email", "sms", "letter"}

// reader is what people of one audience and language get.
type reader struct {
	texts [len(surveyChannels)]*surveyed
	// none are those who could be told on a channel and have no text there.
	none [len(surveyChannels)]lack
	// unknown says that no language is known, other that it is not the organisation's.
	unknown, other bool
}

// NewSurvey compiles the texts. Home is the organisation's language, and
// fallBack says whether a person decided that it serves where a language has no
// text. It returns an error that names the text and line if one does not compile.
func NewSurvey(texts []event.WordingDrafted, home string, fallBack bool) (*Survey, error) {
	card, err := category.Parse("payment_card")
	if err != nil {
		return nil, err
	}
	s := &Survey{home: home, fallBack: fallBack, card: card, readers: [2]map[string]*reader{{}, {}}}
	for _, t := range texts {
		tpl, err := Compile(t.TextKey, t.Subject, t.Body)
		if err != nil {
			return nil, err
		}
		s.texts = append(s.texts, &surveyed{t: tpl, variants: map[uint64]*form{}})
		s.keys = append(s.keys, t.TextKey)
	}
	return s, nil
}

// Add takes in one person; reach is whoever is written to, which is the person
// or the guardian of a minor.
func (s *Survey) Add(named, reach *person.Contact) {
	s.out.Checked++
	switch {
	case named.Deceased:
		s.out.Deceased++
		return
	case named.AgeClass == person.AgeMinor && named == reach:
		s.out.WithoutGuardian++
		s.sample(named, &reader{}, true)
		return
	}
	r := s.reader(named != reach, reach.Language)
	can := [...]bool{reach.Email != "", reach.Phone != "", len(reach.Address) > 0 || reach.Fax != ""}
	told := false
	for i, text := range r.texts {
		switch {
		case !can[i]:
		case text != nil:
			told = true
			text.add(Recipient{Contact: named})
		default:
			r.none[i].add(named.Number)
		}
	}
	if !told {
		s.out.Unreachable++
	}
	s.sample(named, r, told)
}

// sample counts the person under every way of being worth a look.
func (s *Survey) sample(named *person.Contact, r *reader, told bool) {
	noGiven, noFamily := blank(named.GivenName), blank(named.FamilyName)
	for i, is := range [len(sampleKinds)]bool{noGiven && noFamily, noGiven && !noFamily, named.AgeClass == person.AgeMinor,
		named.Exposed.Has(s.card), r.other, r.unknown, !told} {
		if is {
			s.samples[i].add(named.Number)
		}
	}
}

// AddErased counts people who were erased since the list was sealed.
func (s *Survey) AddErased(n int) {
	s.out.Checked += int64(n)
	s.out.Erased += int64(n)
}

func (s *Survey) reader(guardian bool, language string) *reader {
	kind := 0
	if guardian {
		kind = 1
	}
	r := s.readers[kind][language]
	if r != nil {
		return r
	}
	r = &reader{unknown: language == "" || language == "unknown"}
	r.other = !r.unknown && base(language) != base(s.home)
	for i, channel := range surveyChannels {
		if k, ok := ChooseFor(s.keys, surveyAudiences[kind], channel, language, s.home, s.fallBack); ok {
			r.texts[i] = s.texts[slices.Index(s.keys, k)]
		}
	}
	s.readers[kind][language] = r
	return r
}

var surveyAudiences = [...]string{"people", "guardians"}

func (x *surveyed) add(r Recipient) {
	id := x.t.met(r)
	f := x.last
	if f == nil || f.id != id {
		if f = x.form(id); f == nil {
			x.addFurther(id, r)
			return
		}
		x.last = f
	}
	f.people++
	if len(f.first) < event.ShownPeople {
		f.first = append(f.first, r.Contact.Number)
	}
	for i, field := range f.fields {
		if r.lacks(field) {
			f.lacks[i].add(r.Contact.Number)
		}
	}
}

func (x *surveyed) addFurther(id uint64, r Recipient) {
	x.furtherPeople++
	for _, field := range x.t.personal(id) {
		if r.lacks(field) {
			x.furtherOf(field).add(r.Contact.Number)
		}
	}
}

func (x *surveyed) furtherOf(field Field) *lack {
	if x.further == nil {
		x.further = map[Field]*lack{}
	}
	if x.further[field] == nil {
		x.further[field] = &lack{}
	}
	return x.further[field]
}

// form returns the form of a combination, or nil if there are too many.
func (x *surveyed) form(id uint64) *form {
	f := x.variants[id]
	if f == nil {
		if len(x.variants) >= maxVariants {
			return nil
		}
		f = &form{id: id, fields: x.t.personal(id)}
		f.lacks = make([]lack, len(f.fields))
		x.variants[id] = f
	}
	return f
}

// met returns the conditions the recipient meets, one bit each.
func (t *Template) met(r Recipient) (id uint64) {
	for i := range t.conditions {
		if r.meets(t.conditions[i]) {
			id |= 1 << i
		}
	}
	return id
}

// personal returns the distinct personal fields that the variant id shows.
func (t *Template) personal(id uint64) (fields []Field) {
	var walk func([]node)
	walk = func(nodes []node) {
		for _, n := range nodes {
			switch {
			case n.cond >= 0:
				if (id>>n.cond)&1 == 1 != n.negated {
					walk(n.body)
				}
			case n.field != "" && n.field.Personal() && !slices.Contains(fields, n.field):
				fields = append(fields, n.field)
			}
		}
	}
	walk(t.subject)
	walk(t.body)
	return fields
}

// lacks reports whether the recipient has no value of a personal field, without
// writing the value. A reference is made when a notice is planned.
func (r Recipient) lacks(f Field) bool {
	c := r.Contact
	switch f {
	case GivenName:
		return c.GivenName == ""
	case FamilyName:
		return c.FamilyName == ""
	case FullName:
		return blank(c.GivenName) && blank(c.FamilyName)
	case AddressSource:
		return blank(c.Source)
	case ExposedCategories:
		return c.Exposed == 0
	}
	return false
}

func blank(t person.Text) bool {
	for _, b := range []byte(t) {
		if b != ' ' {
			return false
		}
	}
	return true
}

// Merge takes in what another survey of the same texts has counted.
func (s *Survey) Merge(o *Survey) {
	s.out.Checked += o.out.Checked
	s.out.Erased += o.out.Erased
	s.out.Deceased += o.out.Deceased
	s.out.WithoutGuardian += o.out.WithoutGuardian
	s.out.Unreachable += o.out.Unreachable
	for i := range o.samples {
		s.samples[i].merge(o.samples[i])
	}
	for i, x := range o.texts {
		s.texts[i].furtherPeople += x.furtherPeople
		for field, l := range x.further {
			s.texts[i].furtherOf(field).merge(*l)
		}
		for id, f := range x.variants {
			mine := s.texts[i].form(id)
			if mine == nil {
				s.texts[i].furtherPeople += f.people
				for j, field := range f.fields {
					s.texts[i].furtherOf(field).merge(f.lacks[j])
				}
				continue
			}
			mine.people += f.people
			mine.first = firstOf(append(mine.first, f.first...), event.ShownPeople)
			for j := range f.lacks {
				mine.lacks[j].merge(f.lacks[j])
			}
		}
	}
	for kind := range o.readers {
		for language, r := range o.readers[kind] {
			mine := s.reader(kind == 1, language)
			for i := range r.none {
				mine.none[i].merge(r.none[i])
			}
		}
	}
}

func (l *lack) merge(o lack) {
	l.people += o.people
	l.numbers = firstOf(append(l.numbers, o.numbers...), event.NamedPeople)
}

// firstOf returns the lowest numbers, at most most.
func firstOf(numbers []person.Number, most int) []person.Number {
	slices.Sort(numbers)
	return numbers[:min(len(numbers), most)]
}

// Answer returns what was counted so far, worst first.
func (s *Survey) Answer() event.WordingAnswer {
	a := s.out
	for _, x := range s.texts {
		missing := map[Field]*lack{}
		for field, l := range x.further {
			if l.people > 0 {
				missing[field] = &lack{l.people, slices.Clone(l.numbers)}
			}
		}
		if x.furtherPeople > 0 {
			a.Variants = append(a.Variants, event.VariantCount{TextKey: x.t.Key, Conditions: []string{"further combinations"}, People: x.furtherPeople})
		}
		for _, f := range x.variants {
			a.Variants = append(a.Variants, event.VariantCount{TextKey: x.t.Key, Conditions: x.t.names(f.id), People: f.people, Numbers: f.first})
			for i, field := range f.fields {
				if f.lacks[i].people == 0 {
					continue
				}
				if missing[field] == nil {
					missing[field] = &lack{}
				}
				missing[field].merge(f.lacks[i])
			}
		}
		for field, l := range missing {
			a.Missing = append(a.Missing, event.MissingValue{TextKey: x.t.Key, Field: string(field), People: l.people, Numbers: l.numbers})
		}
	}
	a.Unworded = s.unworded()
	for i, l := range s.samples {
		if l.people > 0 {
			a.Samples = append(a.Samples, event.SamplePeople{Kind: sampleKinds[i], People: l.people, Numbers: firstOf(slices.Clone(l.numbers), event.ShownPeople)})
		}
	}
	slices.SortFunc(a.Missing, func(x, y event.MissingValue) int {
		return cmp.Or(cmp.Compare(y.People, x.People), cmp.Compare(x.TextKey.String()+x.Field, y.TextKey.String()+y.Field))
	})
	slices.SortFunc(a.Variants, func(x, y event.VariantCount) int {
		return cmp.Or(cmp.Compare(x.TextKey.String(), y.TextKey.String()), cmp.Compare(y.People, x.People), slices.Compare(x.Conditions, y.Conditions))
	})
	return a
}

// names writes the conditions of a variant as they stand in the text.
func (t *Template) names(id uint64) []string {
	met := []string{}
	for i, c := range t.conditions {
		if id>>i&1 == 1 {
			met = append(met, c.String())
		}
	}
	return met
}

// unworded lists the readers without a text, on channels that have a text for
// somebody: a channel nobody writes for is a choice, not a gap.
func (s *Survey) unworded() (all []event.UnwordedPeople) {
	for kind, readers := range s.readers {
		for language, r := range readers {
			for i, l := range r.none {
				used := slices.ContainsFunc(s.keys, func(k event.TextKey) bool { return k.Channel == surveyChannels[i] })
				if l.people > 0 && used {
					all = append(all, event.UnwordedPeople{People: l.people, Numbers: l.numbers,
						TextKey: event.TextKey{Audience: surveyAudiences[kind], Channel: surveyChannels[i], Language: cmp.Or(language, "unknown")}})
				}
			}
		}
	}
	slices.SortFunc(all, func(x, y event.UnwordedPeople) int {
		return cmp.Or(cmp.Compare(y.People, x.People), cmp.Compare(x.TextKey.String(), y.TextKey.String()))
	})
	return all
}
