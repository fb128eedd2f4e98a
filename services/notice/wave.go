package notice

import (
	"context"
	"fmt"

	"tocsin.dev/pkg/casefile"
	"tocsin.dev/pkg/category"
)

// Waves: the canary page goes first; then, of all cases together, those whose
// people must be told within Doubt.Guard, the nearest first; then the chunks
// whose people stand to lose most; then the earlier due instant.

// severe are the categories that can be turned against a person at once: means
// to take over accounts, money or an identity, and what nobody can take back.
var severe = mustSet("password") | mustSet("security_answer") | mustSet("session_or_mfa") |
	mustSet("payment_card") | mustSet("payment_access_code") | mustSet("bank_account") |
	mustSet("national_id") | mustSet("driving_licence") | mustSet("passport_or_immigration") | mustSet("precise_location") |
	mustSet("biometric") | mustSet("health") | mustSet("health_insurance_id") | mustSet("genetic") |
	mustSet("special_belief_or_origin") | mustSet("criminal_record")

// harm weighs what was exposed of a person, for the order of waves only.
func harm(exposed category.Set) int { return 10*(exposed&severe).Len() + (exposed &^ severe).Len() }

// harmOf is the mean harm to the people planned on a channel, in hundredths.
func harmOf(rows []message, ch Channel) int {
	sum, n := 0, 0
	for i := range rows {
		if rows[i].state == Planned && rows[i].channel == ch {
			sum, n = sum+100*harm(category.Set(rows[i].exposed)), n+1
		}
	}
	return sum / max(1, n)
}

// keepDue notes by when the people of a plan must be told, whenever the law says otherwise.
func (s *Service) keepDue(ctx context.Context, p *plan, c *casefile.Case) error {
	due := int64(0)
	if d := dueToPeople(c); d != nil {
		due = d.UnixMilli()
	}
	if due == p.due {
		return nil
	}
	if _, err := s.store.db.ExecContext(ctx, `UPDATE plan SET due=$2 WHERE id=$1`, p.id, due); err != nil {
		return fmt.Errorf("note when plan %d is due: %w", p.id, err)
	}
	p.due = due
	return nil
}
