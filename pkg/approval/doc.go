// Package approval says whether a signed approval covers what is about to be
// sent, from the journal of the case and the public keys alone.
//
// The sender asks it before every batch, and an auditor asks it about an
// exported journal, far from the installation: there is one implementation. It
// trusts nothing that was computed elsewhere; the digests of the texts are made
// anew from their words. It reads no clock, file or network.
package approval
