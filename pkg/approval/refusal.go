package approval

import "fmt"

// Refusal is why an approval does not cover what is to be sent. Reason is a
// word for programs, Detail a line for people.
type Refusal struct {
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// Error implements error.
func (r *Refusal) Error() string { return "approval refused: " + r.Reason + ": " + r.Detail }

// Refuse makes a Refusal.
func Refuse(reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// The reasons of a refusal, as they stand in approval.refused.
const (
	NoApproval       = "no_approval"
	WrongCase        = "wrong_case"
	WrongKind        = "wrong_kind"
	KeyUnknown       = "key_unknown"
	SignatureInvalid = "signature_invalid"
	KeyRevoked       = "key_revoked"
	Revoked          = "approval_revoked"
	NotYetValid      = "not_yet_valid"
	Expired          = "expired"
	Clock            = "clock"
	ListChanged      = "list_changed"
	WordingChanged   = "wording_changed"
	FactsChanged     = "facts_changed"
	WordingRejected  = "wording_rejected"
	TextMissing      = "text_missing"
	WriterApproved   = "writer_approved"
	ApproverMismatch = "approver_mismatch"
	RoleNotAllowed   = "role_not_allowed"
	CannotRead       = "language_not_read"
	TooFewEyes       = "too_few_approvals"
	ChannelUnknown   = "channel_not_approved"
	OrderedBy        = "not_ordered_by_a_person"
	ContactPoint     = "contact_point_missing"
	SenderMissing    = "sender_missing"
)
