package natsd

import (
	"fmt"
	"slices"
	"strings"

	"tocsin.dev/pkg/event"
)

// Admin is the user of operators and of the process that makes the streams.
const Admin = "admin"

// sysUser is the user of the system account: server state, no case data.
const sysUser = "sys"

// Grant is what one NATS user may publish and subscribe to.
type Grant struct {
	User      string
	Publish   []string
	Subscribe []string
}

// asks says which questions a service may put to others.
func asks(service string) []string {
	switch service {
	case event.Desk:
		return []string{
			event.AskAlerts, event.AskInventory, event.AskPreview, event.AskPerson,
			event.AskDifference, event.AskEnter, event.AskErase, event.AskWording, event.AskAudit, event.AskFindings,
			event.AskProgress, event.AskMessages, event.AskForecast, event.AskDoubts, event.AskSettle, event.AskReport, event.AskLetter, event.AskTestSend, event.AskReturns, event.AskDead("*"),
		}
	case event.Notice:
		return []string{event.AskContacts}
	}
	return nil
}

// works names the work streams that a service owns: it alone fills and empties
// them. The subjects are those it publishes there.
func works(service string) map[string]string {
	switch service {
	case event.Intake:
		return map[string]string{event.StreamAlerts: event.SubjectAlerts}
	case event.Notice:
		return map[string]string{
			event.StreamDispatch: event.SubjectDispatch,
			event.StreamReceipts: event.SubjectReceipts,
		}
	}
	return nil
}

// buckets names the key-value and object streams that a service owns.
func buckets(service string) (kv, objects []string) {
	switch service {
	case event.Intake:
		return nil, []string{event.ObjectsRaw}
	case event.Desk:
		return []string{event.BucketSessions, event.BucketUsers, event.BucketLaw}, nil
	}
	return nil, nil
}

// Grants returns the permissions of every service, in the order of the address
// book. A service may publish the events it says, the questions it may ask and
// the work it owns, and may use the JetStream API only for its own consumers
// and for the reads it needs. Nobody but the admin may delete, purge or change
// a stream.
func Grants() []Grant {
	var all []Grant
	for _, s := range event.Services() {
		all = append(all, grant(s))
	}
	return all
}

func grant(service string) Grant {
	g := Grant{User: service, Subscribe: []string{
		inboxPrefix(service) + ".>",
		"tocsin.ask." + service + ".>",
		event.SubjectStored,
	}}
	for _, t := range event.Says(service) {
		g.publish("tocsin.case.*.*." + string(t))
	}
	g.publish(asks(service)...)
	g.publish(event.SubjectDeadLetter(service + ".>"))
	g.reads(event.StreamCases)
	g.consumes(event.StreamCases, event.PokeConsumer(service))
	for _, stream := range sorted(works(service)) {
		g.publish(works(service)[stream])
		g.reads(stream)
		g.consumes(stream, "*")
	}
	g.reads(event.StreamDead)
	if service == event.Desk {
		g.publish("$JS.API.STREAM.MSG.DELETE." + event.StreamDead)
	}
	kv, objects := buckets(service)
	for _, b := range kv {
		g.publish("$KV." + b + ".>")
		g.reads("KV_" + b)
		g.watches("KV_" + b)
	}
	if service == event.Deadline { // it follows what the desk writes
		g.reads("KV_" + event.BucketLaw)
		g.watches("KV_" + event.BucketLaw)
	}
	for _, b := range objects {
		g.publish("$O." + b + ".>")
		g.reads("OBJ_" + b)
		g.watches("OBJ_" + b)
	}
	return g
}

func (g *Grant) publish(subjects ...string) { g.Publish = append(g.Publish, subjects...) }

// reads allows reading the state and single messages of a stream.
func (g *Grant) reads(stream string) {
	g.publish(
		"$JS.API.STREAM.INFO."+stream,
		"$JS.API.STREAM.MSG.GET."+stream,
		"$JS.API.DIRECT.GET."+stream,
		"$JS.API.DIRECT.GET."+stream+".>",
	)
}

// consumes allows making and using a durable pull consumer. Both forms of the
// acknowledgement subject are allowed: the server is about to change it.
func (g *Grant) consumes(stream, consumer string) {
	g.publish(
		"$JS.API.CONSUMER.CREATE."+stream+"."+consumer,
		"$JS.API.CONSUMER.CREATE."+stream+"."+consumer+".>",
		"$JS.API.CONSUMER.INFO."+stream+"."+consumer,
		"$JS.API.CONSUMER.MSG.NEXT."+stream+"."+consumer,
		"$JS.ACK."+stream+"."+consumer+".>",
		"$JS.ACK.*.*."+stream+"."+consumer+".>",
	)
}

// watches allows the short-lived ordered consumers with which the client reads
// buckets.
func (g *Grant) watches(stream string) {
	g.publish(
		"$JS.API.CONSUMER.CREATE."+stream,
		"$JS.API.CONSUMER.CREATE."+stream+".>",
		"$JS.API.CONSUMER.INFO."+stream+".*",
		"$JS.API.CONSUMER.DELETE."+stream+".*",
		"$JS.FC."+stream+".>",
	)
}

// inboxPrefix is where answers to a user arrive; no other user may listen there.
func inboxPrefix(user string) string { return "_INBOX_" + user }

// passwordVariable is the environment variable that holds a user's password.
func passwordVariable(user string) string {
	return "TOCSIN_NATS_" + strings.ToUpper(user) + "_PASSWORD"
}

// Accounts returns the accounts block of a NATS server configuration: one user
// per service with its permissions, the admin, and the system account. The
// passwords are read from the environment when the server loads it.
func Accounts() string {
	var b strings.Builder
	b.WriteString("# Who may do what on the bus. Made from pkg/natsd/permissions.go by\n" +
		"#   TOCSIN_WRITE_ACCOUNTS=1 go test ./pkg/natsd -run TestTheClusterReadsTheSamePermissions\n" +
		"# The embedded server reads the same text. Do not edit: change the table.\n" +
		"# Every TOCSIN_NATS_<USER>_PASSWORD must be set and must be quoted or begin with a letter.\n\n")
	b.WriteString("accounts {\n  TOCSIN {\n    jetstream: enabled\n    users: [\n")
	fmt.Fprintf(&b, "      { user: %s, password: $%s, permissions: { publish: \">\", subscribe: \">\" } }\n", Admin, passwordVariable(Admin))
	for _, g := range Grants() {
		fmt.Fprintf(&b, "      {\n        user: %s\n        password: $%s\n        permissions: {\n", g.User, passwordVariable(g.User))
		writeSubjects(&b, "publish", g.Publish)
		writeSubjects(&b, "subscribe", g.Subscribe)
		b.WriteString("          allow_responses: { max: 1, expires: \"2m\" }\n        }\n      }\n")
	}
	fmt.Fprintf(&b, "    ]\n  }\n  SYS {\n    users: [ { user: %s, password: $%s } ]\n  }\n}\nsystem_account: SYS\n", sysUser, passwordVariable(sysUser))
	return b.String()
}

func writeSubjects(b *strings.Builder, name string, subjects []string) {
	fmt.Fprintf(b, "          %s: {\n            allow: [\n", name)
	for _, s := range subjects {
		fmt.Fprintf(b, "              %q\n", s)
	}
	b.WriteString("            ]\n          }\n")
}

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
