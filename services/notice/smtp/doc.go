// Package smtp sends notices through an organisation's own mail server, one
// message a person, over connections that are kept, and says what each answer
// proves. It uses wneessen/go-mail, which writes MIME, speaks STARTTLS and the
// usual AUTH mechanisms, and reports at which command a message failed; that
// is what a classification needs.
//
// A mail server sends no receipts and cannot be asked later: a message whose
// answer is lost after its content stays in doubt until a bounce, policy or a
// person decides. Messages that come back are read by bounce.go; the server that
// gets them posts them to notice.
package smtp
