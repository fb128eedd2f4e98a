// Package sandbox looks like SendGrid and Twilio to a client, so that a whole case can be played,
// drilled and measured without one message leaving the machine.
//
// It owns two look-alike HTTP APIs with signed callbacks, the faults a drill asks for, the record of
// everything it accepted (the judge: what the sender believes is checked against this), and a page
// that shows every message as its receiver would see it.
//
// It hears HTTP only, on the routes of Handler; it knows no bus, no journal and no store. It says
// callbacks: SendGrid event webhooks (ECDSA P-256 over timestamp and body), Twilio status callbacks
// (HMAC-SHA1 over URL and parameters) and Twilio's Event Streams (the same, with the body's hash).
//
// It does not guarantee that a vendor behaves so. Shapes are held against the vendors' published
// OpenAPI files by contract/prism.sh and by a test; behaviour (limits, queues, suppressions,
// doubt) follows their documentation. The record lives in memory and ends with the process.
//
// # What it covers
//
//	SendGrid  POST /v3/mail/send, POST and GET /v3/mail/batch, /v3/user/scheduled_sends,
//	          POST /v3/logs, GET /v3/logs/{sg_message_id}
//	Twilio    POST and GET /2010-04-01/Accounts/{sid}/Messages.json,
//	          GET and POST …/Messages/{sid}.json
//	own       /sandbox/ (page), /sandbox/messages/{id}, /sandbox/messages.json, /sandbox/record,
//	          /sandbox/record/notices, /sandbox/faults, /sandbox/suppressions
//
// A dynamic template (template_id) is accepted, but its text lives at the vendor, so the page shows
// the data instead of the rendering. Attachments are counted and not kept.
//
// # Steering: what happens to whom
//
// The outcome follows from the address, so that a demo or a test can ask for it. A keyword counts
// when it stands as a whole word in the local part of an email address (words are divided by
// anything that is not a letter); bounce and optout count anywhere in it.
//
//	bounce    hard bounce (type bounce, 5.1.1); the address then stands on the bounce list
//	block     soft bounce (type blocked, 4.7.1)
//	defer     deferred once, then delivered
//	optout    on the global unsubscribe list: dropped unless bypassed
//	spam      on the spam report list: dropped unless bypassed
//	drop      on the bounce list already: dropped unless bypassed, and then a hard bounce
//	complain  delivered, then a spam report
//	silent    processed, then nothing more
//	mute      no event at all, although it is delivered
//
// A phone number that ends in 99 and a Twilio error code of five digits gets that error: at once as
// an HTTP 400 when the code is one that Twilio gives when a message is created (21211, 21408, 21610,
// 21611, 21612, 21614, 21635), and in a callback as undelivered or failed for 30001 to 30008,
// 30022, 30034 and 30036. 9900000 stays sent without an end; 9900001 gets no callback at all.
// Twilio's own test numbers +15005550001, 2, 3, 4 and 9 answer as they do there.
//
// The profile mix_up hands accepted messages to the wrong people, which no answer
// and no count shows: only somebody who knows what a message should hold sees it.
//
// The faults profile can switch steering off, for measurements with arbitrary addresses.
//
// # Who is told, by what key
//
// A notice id reaches the record as custom argument n (SendGrid) or in the status callback URL
// (Twilio: the query parameters n and b, or else the last two path segments, notice then attempt).
// The case comes from the custom argument case, a category "case:…", the callback's query parameter
// case, or a path segment after "case" or "cases". Apart from that every accepted message counts
// under its address, so one person told twice is seen even under two notice ids.
package sandbox
