package event

// SubjectStored is where the server announces every case event once it is
// stored, without its body: tocsin.stored.<org>.<case>.<event>.v1. The
// announcement is a hint that may be lost; the stream is the truth.
const SubjectStored = "tocsin.stored.>"

// StoredSubjects returns the wildcard over the announcements of one case; an
// empty org or case stands for all of them.
func StoredSubjects(org, caseID string) string {
	return "tocsin.stored." + orAny(org) + "." + orAny(caseID) + ".>"
}

// AnyCaseSubjects is CaseSubjects in which an empty org or case stands for all of them.
func AnyCaseSubjects(org, caseID string) string { return CaseSubjects(orAny(org), orAny(caseID)) }

// AskDead asks a service to take one of its dead letters up again.
func AskDead(service string) string { return "tocsin.ask." + service + ".dead" }

// PokeConsumer returns the name of the durable consumer that tells a service
// which cases have changed.
func PokeConsumer(service string) string { return service + "-poke" }

func orAny(s string) string {
	if s == "" {
		return "*"
	}
	return s
}
