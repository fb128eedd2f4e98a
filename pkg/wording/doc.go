// Package wording turns an approved text and one person's record into the
// message that person receives.
//
// A text is Markdown with merge fields from a closed list ({{person.given_name}})
// and conditional parts ({{#if exposed.payment_card}} … {{/if}}). It is compiled
// once, bound once to what is the same for everybody (organisation, case, facts
// sheet), and laid out once for each variant, that is for each combination of
// conditions that people meet. Writing to one person then only splices that
// person's own values into the laid-out pieces, after Markdown and HTML have
// been dealt with, so a value can never become markup.
//
// The package is pure: no clock, no files, no network.
package wording
