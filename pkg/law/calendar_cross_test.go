package law

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/ar"
	"github.com/rickar/cal/v2/at"
	"github.com/rickar/cal/v2/be"
	"github.com/rickar/cal/v2/bg"
	"github.com/rickar/cal/v2/br"
	"github.com/rickar/cal/v2/ca"
	"github.com/rickar/cal/v2/ch"
	"github.com/rickar/cal/v2/cz"
	"github.com/rickar/cal/v2/de"
	"github.com/rickar/cal/v2/dk"
	"github.com/rickar/cal/v2/es"
	"github.com/rickar/cal/v2/fr"
	"github.com/rickar/cal/v2/gb"
	"github.com/rickar/cal/v2/gr"
	"github.com/rickar/cal/v2/hr"
	"github.com/rickar/cal/v2/ie"
	"github.com/rickar/cal/v2/it"
	"github.com/rickar/cal/v2/jp"
	"github.com/rickar/cal/v2/lt"
	"github.com/rickar/cal/v2/lv"
	"github.com/rickar/cal/v2/nl"
	"github.com/rickar/cal/v2/no"
	"github.com/rickar/cal/v2/nz"
	"github.com/rickar/cal/v2/pl"
	"github.com/rickar/cal/v2/ro"
	"github.com/rickar/cal/v2/se"
	"github.com/rickar/cal/v2/si"
	"github.com/rickar/cal/v2/sk"
	"github.com/rickar/cal/v2/us"
	"github.com/rickar/cal/v2/za"
)

// neighbours are the national holidays of rickar/cal (BSD-2-Clause), an independent hand-written source.
var neighbours = map[string][]*cal.Holiday{
	"AR": ar.Holidays,
	"AT": at.Holidays,
	"BE": be.Holidays,
	"BG": bg.Holidays,
	"BR": br.Holidays,
	"CA": ca.Holidays,
	"CH": ch.Holidays,
	"CZ": cz.Holidays,
	"DE": de.Holidays,
	"DK": dk.Holidays,
	"ES": es.Holidays,
	"FR": fr.Holidays,
	"GB": gb.Holidays,
	"GR": gr.Holidays,
	"HR": hr.Holidays,
	"IE": ie.Holidays,
	"IT": it.Holidays,
	"JP": jp.Holidays,
	"LT": lt.Holidays,
	"LV": lv.Holidays,
	"NL": nl.Holidays,
	"NO": no.Holidays,
	"NZ": nz.Holidays,
	"PL": pl.Holidays,
	"RO": ro.Holidays,
	"SE": se.Holidays,
	"SI": si.Holidays,
	"SK": sk.Holidays,
	"US": us.Holidays,
	"ZA": za.Holidays,
}

func TestCalendarsAgreeWithAnIndependentSourceOrSayWhyNot(t *testing.T) {
	cals := rules(t).Calendars()
	seen := map[string]bool{}
	for _, code := range slices.Sorted(mapsKeys(neighbours)) {
		ours := cals.Get(code)
		if code == "GB" {
			ours = cals.Get("GB-ENG") // theirs are the bank holidays of England
		}
		theirs := cal.NewBusinessCalendar()
		theirs.AddHoliday(neighbours[code]...)
		for d := civil(2024, 1, 1); d <= civil(2032, 12, 31); d++ {
			y, m, dd := d.date()
			if w := d.weekday(); w == time.Saturday || w == time.Sunday {
				continue
			}
			date := time.Date(y, m, dd, 12, 0, 0, 0, time.UTC)
			a, b := ours.working(d), theirs.IsWorkday(date)
			if a == b {
				continue
			}
			_, _, h := theirs.IsHoliday(date)
			side, name := "ours only", ours.holiday(d)
			if a {
				side = "theirs only"
				if name = "?"; h != nil {
					name = h.Name
				}
			}
			key := fmt.Sprintf("%s %s: %s", code, side, name)
			if !seen[key] && differences[key] == "" {
				t.Errorf("%s (first on %s) is not explained", key, d)
			}
			seen[key] = true
		}
	}
	for key := range differences {
		if !seen[key] {
			t.Errorf("explained difference no longer exists: %s", key)
		}
	}
	t.Log(len(seen), "differences, all explained")
}

func mapsKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// differences are the weekdays on which the two sources disagree, each with the reason why ours stands.
var differences = map[string]string{
	"AR ours only: Día de la Soberanía Nacional":                                             "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR ours only: Día del Respeto a la Diversidad Cultural":                                 "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR ours only: Feriado con fines turísticos":                                             "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR ours only: Paso a la Inmortalidad del General Don José de San Martín":                "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR ours only: Paso a la Inmortalidad del General Don Martín Miguel de Güemes":           "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR ours only: Viernes Santo":                                                            "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR theirs only: Aniversario paso a la inmortalidad del General José de San Martín":      "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR theirs only: Aniversario paso a la inmortalidad del General Juan Manuel Belgrano":    "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR theirs only: Aniversario paso a la inmortalidad del General Martín Miguel de Güemes": "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR theirs only: Día de la Soberanía Nacional":                                           "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"AR theirs only: Día del respeto a la diversidad cultural":                               "movable holidays and bridge days are fixed by yearly decree, which theirs does not follow",
	"BG ours only: Ден на труда и на международната работническа солидарност":                "holidays on weekends and at Orthodox Easter move by the labour code, and 31 December 2025 was declared off; theirs shifts differently",
	"BG ours only: Неприсъствен ден":                                                         "holidays on weekends and at Orthodox Easter move by the labour code, and 31 December 2025 was declared off; theirs shifts differently",
	"BG ours only: Рождество Христово":                                                       "holidays on weekends and at Orthodox Easter move by the labour code, and 31 December 2025 was declared off; theirs shifts differently",
	"BG theirs only: Ден на труда и на международната работническа солидарност":              "holidays on weekends and at Orthodox Easter move by the labour code, and 31 December 2025 was declared off; theirs shifts differently",
	"BR ours only: Dia Nacional de Zumbi e da Consciência Negra":                             "a national holiday by law since 2024",
	"BR theirs only: Carnaval":                                                               "optional leave in federal offices, a working day for us, which is never later",
	"BR theirs only: Corpus Christi":                                                         "optional leave in federal offices, a working day for us, which is never later",
	"CA theirs only: Boxing Day":                                                             "not a holiday in every province; ours keeps provinces apart, so the common calendar has working days here, which is never later",
	"CA theirs only: Canada Day":                                                             "not a holiday in every province; ours keeps provinces apart, so the common calendar has working days here, which is never later",
	"CA theirs only: Civic/Provincial Day":                                                   "not a holiday in every province; ours keeps provinces apart, so the common calendar has working days here, which is never later",
	"CA theirs only: Easter Monday":                                                          "not a holiday in every province; ours keeps provinces apart, so the common calendar has working days here, which is never later",
	"CA theirs only: National Day for Truth and Reconciliation":                              "not a holiday in every province; ours keeps provinces apart, so the common calendar has working days here, which is never later",
	"CA theirs only: Remembrance Day":                                                        "not a holiday in every province; ours keeps provinces apart, so the common calendar has working days here, which is never later",
	"CA theirs only: Thanksgiving Day":                                                       "not a holiday in every province; ours keeps provinces apart, so the common calendar has working days here, which is never later",
	"CA theirs only: Victoria Day":                                                           "not a holiday in every province; ours keeps provinces apart, so the common calendar has working days here, which is never later",
	"CH theirs only: Berchtoldstag":                                                          "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Fronleichnam":                                                           "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Heilige Drei Könige":                                                    "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Josefstag":                                                              "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Karfreitag":                                                             "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Mariä Empfängnis":                                                       "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Mariä Himmelfahrt":                                                      "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Ostermontag":                                                            "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Pfingstmontag":                                                          "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Tag der Arbeit":                                                         "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"CH theirs only: Zweiter Weihnachtsfeiertag":                                             "a holiday of some cantons only; ours lists what holds in all of Switzerland, which is never later",
	"DK theirs only: Grundlovsdag":                                                           "Constitution Day is no public holiday by law",
	"GR ours only: Εργατική Πρωτομαγιά":                                                      "Labour Day moves when it falls in Holy Week or on Sunday; theirs does not move it",
	"GR ours only: Εργατική Πρωτομαγιά (παρατηρήθηκε)":                                       "Labour Day moves when it falls in Holy Week or on Sunday; theirs does not move it",
	"GR theirs only: Εργατική Πρωτομαγιά":                                                    "Labour Day moves when it falls in Holy Week or on Sunday; theirs does not move it",
	"IT ours only: Festa nazionale di San Francesco d'Assisi, patrono d'Italia":              "Saint Francis became a national holiday from 2026",
	"LV ours only: Brīvdiena (pārcelta no 08.11.2025)":                                       "working days that the government moved to bridge a weekend",
	"LV ours only: Brīvdiena (pārcelta no 10.05.2025)":                                       "working days that the government moved to bridge a weekend",
	"LV ours only: Brīvdiena (pārcelta no 14.12.2024)":                                       "working days that the government moved to bridge a weekend",
	"LV ours only: Brīvdiena (pārcelta no 17.01.2026)":                                       "working days that the government moved to bridge a weekend",
	"LV ours only: Brīvdiena (pārcelta no 27.06.2026)":                                       "working days that the government moved to bridge a weekend",
	"LV ours only: Brīvdiena (pārcelta no 28.12.2024)":                                       "working days that the government moved to bridge a weekend",
	"NL theirs only: Bevrijdingsdag":                                                         "Liberation Day is a day off every fifth year only; ours treats the others as working days, which is never later",
	"NZ ours only: Matariki":                                                                 "Matariki since 2022",
	"PL ours only: Wigilia Bożego Narodzenia":                                                "Christmas Eve since 2025; theirs observes only part of it",
	"RO ours only: Botezul Domnului - Boboteaza":                                             "6 and 7 January since 2024",
	"RO ours only: Soborul Sfântului Proroc Ioan Botezătorul":                                "6 and 7 January since 2024",
	"SE theirs only: Julafton":                                                               "an eve that is no public holiday by law, a working day for us, which is never later",
	"SE theirs only: Midsommarafton":                                                         "an eve that is no public holiday by law, a working day for us, which is never later",
	"SE theirs only: Nyårsafton":                                                             "an eve that is no public holiday by law, a working day for us, which is never later",
	"SK theirs only: Deň boja za slobodu a demokraciu":                                       "days off that were taken away by the budget laws of 2024 and 2025",
	"SK theirs only: Deň víťazstva nad fašizmom":                                             "days off that were taken away by the budget laws of 2024 and 2025",
	"SK theirs only: Deň Ústavy Slovenskej republiky":                                        "days off that were taken away by the budget laws of 2024 and 2025",
	"SK theirs only: Sviatok Panny Márie Sedembolestnej, patrónky Slovenska":                 "days off that were taken away by the budget laws of 2024 and 2025",
	"ZA ours only: National and Provincial Government Elections":                             "election day declared for one year",
}
