// Package sendgrid hands email to SendGrid and reads what SendGrid says back.
//
// Requests go through sendgrid-go's request building and its rest.Client, one
// request value per call, because a shared *sendgrid.Client is a data race that
// swaps the bodies of concurrent mails. The body is written by an encoder of
// ours: up to 1,000 personalizations that share one text, each with its own
// substitutions. Signatures of event webhooks are verified with sendgrid-go's
// helpers/eventwebhook.
//
// Custom arguments and categories are stored long by SendGrid and visible to
// its staff, so they carry the notice id, the attempt and the case number only.
package sendgrid
