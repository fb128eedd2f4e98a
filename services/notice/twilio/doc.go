// Package twilio hands text messages to Twilio and reads what Twilio says back.
//
// Messages are created through twilio-go's API service over a BaseClient of
// ours over fasthttp, made for each call: it knows whether a request can have
// left, changes the host and never repeats, none of which twilio-go's own
// client does.
// Status callbacks are verified with twilio-go's RequestValidator.
//
// The notice id and attempt stand in the path of the status callback, so any
// callback proves that Twilio has the message even when its answer was lost, and
// so does any event of Event Streams, which repeats the callback's address.
package twilio
