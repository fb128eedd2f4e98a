package event

// The types of all events, by the service that says them.
const (
	TypeCaseDeclared       Type = "case.declared.v1"
	TypeFactStated         Type = "fact.stated.v1"
	TypeAlertAccepted      Type = "alert.accepted.v1"
	TypeExposureStated     Type = "exposure.stated.v1"
	TypeRiskAssessed       Type = "risk.assessed.v1"
	TypeWordingDrafted     Type = "wording.drafted.v1"
	TypeWordingApproved    Type = "wording.approved.v1"
	TypeWordingRejected    Type = "wording.rejected.v1"
	TypeDispatchOrdered    Type = "dispatch.ordered.v1"
	TypeDispatchPaused     Type = "dispatch.paused.v1"
	TypeDispatchResumed    Type = "dispatch.resumed.v1"
	TypeDispatchStopped    Type = "dispatch.stopped.v1"
	TypeDutyMet            Type = "duty.met.v1"
	TypeDutyWaived         Type = "duty.waived.v1"
	TypeCaseClosed         Type = "case.closed.v1"
	TypeWordingCommented   Type = "wording.commented.v1"
	TypeWordingTested      Type = "wording.tested.v1"
	TypeCheckOverridden    Type = "check.overridden.v1"
	TypeApprovalRevoked    Type = "approval.revoked.v1"
	TypeDoubtDecided       Type = "doubt.decided.v1"
	TypeDutyAcknowledged   Type = "duty.acknowledged.v1"
	TypeAlertLinked        Type = "alert.linked.v1"
	TypeScopeSealed        Type = "scope.sealed.v1"
	TypeScopeRefused       Type = "scope.refused.v1"
	TypeDutyOpened         Type = "duty.opened.v1"
	TypeDutyChanged        Type = "duty.changed.v1"
	TypeDutyDropped        Type = "duty.dropped.v1"
	TypeDutyDueSoon        Type = "duty.due_soon.v1"
	TypeDutyMissed         Type = "duty.missed.v1"
	TypeDispatchPlanned    Type = "dispatch.planned.v1"
	TypeDispatchProgressed Type = "dispatch.progressed.v1"
	TypeDispatchCompleted  Type = "dispatch.completed.v1"
	TypeDispatchBlocked    Type = "dispatch.blocked.v1"
	TypeApprovalRefused    Type = "approval.refused.v1"
)

// The services of Tocsin, as they name themselves on the bus.
const (
	Intake   = "intake"
	Desk     = "desk"
	Scope    = "scope"
	Deadline = "deadline"
	Notice   = "notice"
)

// Says returns the events that a service may publish, in the order of the
// address book. The NATS permissions are made from this table.
func Says(service string) []Type {
	switch service {
	case Desk:
		return []Type{
			TypeCaseDeclared, TypeFactStated, TypeAlertAccepted, TypeExposureStated, TypeRiskAssessed,
			TypeWordingDrafted, TypeWordingApproved, TypeWordingRejected,
			TypeDispatchOrdered, TypeDispatchPaused, TypeDispatchResumed, TypeDispatchStopped,
			TypeDutyMet, TypeDutyWaived, TypeCaseClosed,
			TypeWordingCommented, TypeCheckOverridden, TypeApprovalRevoked, TypeDoubtDecided, TypeDutyAcknowledged,
		}
	case Intake:
		return []Type{TypeAlertLinked}
	case Scope:
		return []Type{TypeScopeSealed, TypeScopeRefused}
	case Deadline:
		return []Type{TypeDutyOpened, TypeDutyChanged, TypeDutyDropped, TypeDutyDueSoon, TypeDutyMissed}
	case Notice:
		return []Type{TypeDispatchPlanned, TypeDispatchProgressed, TypeDispatchCompleted, TypeDispatchBlocked, TypeApprovalRefused, TypeWordingTested}
	}
	return nil
}

// Services lists the services that take part in the bus.
func Services() []string { return []string{Intake, Desk, Scope, Deadline, Notice} }

// Types lists every event type this build knows, grouped by who says it.
func Types() []Type {
	var all []Type
	for _, s := range []string{Desk, Intake, Scope, Deadline, Notice} {
		all = append(all, Says(s)...)
	}
	return all
}

// newBody returns an empty body for t, or nil if t is unknown.
func newBody(t Type) Body {
	switch t {
	case TypeCaseDeclared:
		return &CaseDeclared{}
	case TypeFactStated:
		return &FactStated{}
	case TypeAlertAccepted:
		return &AlertAccepted{}
	case TypeExposureStated:
		return &ExposureStated{}
	case TypeRiskAssessed:
		return &RiskAssessed{}
	case TypeWordingDrafted:
		return &WordingDrafted{}
	case TypeWordingApproved:
		return &WordingApproved{}
	case TypeWordingRejected:
		return &WordingRejected{}
	case TypeDispatchOrdered:
		return &DispatchOrdered{}
	case TypeDispatchPaused:
		return &DispatchPaused{}
	case TypeDispatchResumed:
		return &DispatchResumed{}
	case TypeDispatchStopped:
		return &DispatchStopped{}
	case TypeWordingTested:
		return &WordingTested{}
	case TypeWordingCommented:
		return &WordingCommented{}
	case TypeCheckOverridden:
		return &CheckOverridden{}
	case TypeApprovalRevoked:
		return &ApprovalRevoked{}
	case TypeDoubtDecided:
		return &DoubtDecided{}
	case TypeDutyAcknowledged:
		return &DutyAcknowledged{}
	case TypeDutyMet:
		return &DutyMet{}
	case TypeDutyWaived:
		return &DutyWaived{}
	case TypeCaseClosed:
		return &CaseClosed{}
	case TypeAlertLinked:
		return &AlertLinked{}
	case TypeScopeSealed:
		return &ScopeSealed{}
	case TypeScopeRefused:
		return &ScopeRefused{}
	case TypeDutyOpened:
		return &DutyOpened{}
	case TypeDutyChanged:
		return &DutyChanged{}
	case TypeDutyDropped:
		return &DutyDropped{}
	case TypeDutyDueSoon:
		return &DutyDueSoon{}
	case TypeDutyMissed:
		return &DutyMissed{}
	case TypeDispatchPlanned:
		return &DispatchPlanned{}
	case TypeDispatchProgressed:
		return &DispatchProgressed{}
	case TypeDispatchCompleted:
		return &DispatchCompleted{}
	case TypeDispatchBlocked:
		return &DispatchBlocked{}
	case TypeApprovalRefused:
		return &ApprovalRefused{}
	}
	return nil
}

// EventType implements Body.
func (CaseDeclared) EventType() Type { return TypeCaseDeclared }

// EventType implements Body.
func (FactStated) EventType() Type { return TypeFactStated }

// EventType implements Body.
func (AlertAccepted) EventType() Type { return TypeAlertAccepted }

// EventType implements Body.
func (ExposureStated) EventType() Type { return TypeExposureStated }

// EventType implements Body.
func (RiskAssessed) EventType() Type { return TypeRiskAssessed }

// EventType implements Body.
func (WordingDrafted) EventType() Type { return TypeWordingDrafted }

// EventType implements Body.
func (WordingApproved) EventType() Type { return TypeWordingApproved }

// EventType implements Body.
func (WordingRejected) EventType() Type { return TypeWordingRejected }

// EventType implements Body.
func (DispatchOrdered) EventType() Type { return TypeDispatchOrdered }

// EventType implements Body.
func (DispatchPaused) EventType() Type { return TypeDispatchPaused }

// EventType implements Body.
func (DispatchResumed) EventType() Type { return TypeDispatchResumed }

// EventType implements Body.
func (DispatchStopped) EventType() Type { return TypeDispatchStopped }

// EventType implements Body.
func (DutyMet) EventType() Type { return TypeDutyMet }

// EventType implements Body.
func (DutyWaived) EventType() Type { return TypeDutyWaived }

// EventType implements Body.
func (CaseClosed) EventType() Type { return TypeCaseClosed }

// EventType implements Body.
func (AlertLinked) EventType() Type { return TypeAlertLinked }

// EventType implements Body.
func (ScopeSealed) EventType() Type { return TypeScopeSealed }

// EventType implements Body.
func (ScopeRefused) EventType() Type { return TypeScopeRefused }

// EventType implements Body.
func (DutyOpened) EventType() Type { return TypeDutyOpened }

// EventType implements Body.
func (DutyChanged) EventType() Type { return TypeDutyChanged }

// EventType implements Body.
func (DutyDropped) EventType() Type { return TypeDutyDropped }

// EventType implements Body.
func (DutyDueSoon) EventType() Type { return TypeDutyDueSoon }

// EventType implements Body.
func (DutyMissed) EventType() Type { return TypeDutyMissed }

// EventType implements Body.
func (DispatchPlanned) EventType() Type { return TypeDispatchPlanned }

// EventType implements Body.
func (DispatchProgressed) EventType() Type { return TypeDispatchProgressed }

// EventType implements Body.
func (DispatchCompleted) EventType() Type { return TypeDispatchCompleted }

// EventType implements Body.
func (DispatchBlocked) EventType() Type { return TypeDispatchBlocked }

// EventType implements Body.
func (ApprovalRefused) EventType() Type { return TypeApprovalRefused }

// EventType implements Body.
func (WordingTested) EventType() Type { return TypeWordingTested }

// EventType implements Body.
func (WordingCommented) EventType() Type { return TypeWordingCommented }

// EventType implements Body.
func (CheckOverridden) EventType() Type { return TypeCheckOverridden }

// EventType implements Body.
func (ApprovalRevoked) EventType() Type { return TypeApprovalRevoked }

// EventType implements Body.
func (DoubtDecided) EventType() Type { return TypeDoubtDecided }

// EventType implements Body.
func (DutyAcknowledged) EventType() Type { return TypeDutyAcknowledged }
