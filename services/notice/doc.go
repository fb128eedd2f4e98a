// Package notice tells people. It writes to every person of a sealed list
// exactly what was approved, once, and can say at any time who was told, who
// was not, and who is in doubt and why.
//
// It owns the ledger of messages, one row for each (org, case, kind of notice,
// person, channel), the write-ahead log of requests to providers, the receipts,
// and the pacing. It stores person numbers and keyed hashes, never a name or an
// address: contacts are asked of scope for the people about to be written to,
// used, and forgotten. Callbacks, which do carry addresses, are kept sealed.
//
// Texts, approved or not, leave it as test sends as well (testsend.go): marked,
// and only to users of the organisation whose address it reads from a file itself.
//
// People are written to by email, SMS, post and fax; what is handed over on paper
// is described in print/FORMAT.md. A public notice (public.go) tells everybody
// and counts nobody as told. Voice is left out; channel.go says why.
//
// It hears dispatch.ordered, paused, resumed and stopped and everything that
// can void an approval, as pokes of the journal; tickets on tocsin.dispatch.>;
// and the providers' callbacks over HTTP, where it also serves the public notice
// of a case (public.go). It says dispatch.planned, progressed,
// completed and blocked, approval.refused, and wording.tested.
//
// # What it guarantees
//
// Nothing leaves unless this package itself has verified the signed approval
// over these words, this list and these channels, for every batch anew
// (package approval, by gate.go), and before the whole list that scope hands over
// has turned out to be the sealed one (list_digest.go). A request is written down before it is made; if its answer is
// lost, its messages are in doubt and stay so until evidence settles them or
// the organisation's policy does (state.go, doubt.go, recall.go). While an account
// at a provider is closed another carries what was provably not sent, and nothing
// else (route.go). With canaries in the organisation's file, every batch by
// SendGrid or Twilio carries one, and a provider that turns out to hold something
// else stops the sending (canary.go). Every person of the list
// is counted exactly once, and that is checked while it runs.
//
// # What it does not guarantee
//
// That a person is never written to twice: no provider deduplicates for us, so
// a doubt that no receipt and no look-up settles ends, by policy, in a second
// copy marked as a possible duplicate, or waits for a person, or, by email and in
// time, is recalled. That a copy so marked is one: a request that a killed process
// wrote down and never made cannot be told from one that was made. That a delivered
// message was read. That a provider kept its word: canaries show a mix-up of
// recipients, subjects and texts of SMS, and not what the body of a mail says,
// which SendGrid tells nobody; mails are looked up as a sample.
package notice
