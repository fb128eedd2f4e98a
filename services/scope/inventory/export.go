package inventory

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"tocsin.dev/pkg/person"
)

// Export writes a sealed list with its contacts as CSV, one person a row, in
// order of number; with a controller, the list of that one. It is for the hands
// of an authorised person; the audit says who took it. It returns how many
// people were written: those erased meanwhile are not.
func (s *Store) Export(ctx context.Context, org, caseID string, revision int, controller *string, actor string, w io.Writer) (people int64, err error) {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"number", "given_name", "family_name", "email", "phone", "address", "language", "jurisdiction", "age_class", "relation", "preference", "guardian", "deceased", "exposed", "fax", "source"}); err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	err = s.Stream(ctx, org, caseID, revision, controller, actor, func(contacts []person.Contact) error {
		for i := range contacts {
			if err := out.Write(exportRow(&contacts[i])); err != nil {
				return err
			}
			people++
		}
		return nil
	})
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	if err != nil {
		return people, fmt.Errorf("export: %w", err)
	}
	return people, nil
}

func exportRow(c *person.Contact) []string {
	lines := make([]string, len(c.Address))
	for i, l := range c.Address {
		lines[i] = l.Reveal()
	}
	guardian, deceased := "", ""
	if c.Guardian != 0 {
		guardian = strconv.FormatUint(uint64(c.Guardian), 10)
	}
	if c.Deceased {
		deceased = "yes"
	}
	row := []string{strconv.FormatUint(uint64(c.Number), 10), c.GivenName.Reveal(), c.FamilyName.Reveal(), c.Email.Reveal(), c.Phone.Reveal(),
		strings.Join(lines, "\n"), c.Language, c.Jurisdiction, c.AgeClass, c.Relation, c.Preference, guardian, deceased, c.Exposed.String(), c.Fax.Reveal(), c.Source.Reveal()}
	for i, v := range row[1:] {
		row[i+1] = harmless(v)
	}
	return row
}

// harmless keeps a spreadsheet from taking a value for a formula. A phone
// number keeps its plus.
func harmless(v string) string {
	if v == "" || v[0] == '+' && digits(v) || !strings.ContainsRune("=+-@\t\r", rune(v[0])) {
		return v
	}
	return "'" + v
}
