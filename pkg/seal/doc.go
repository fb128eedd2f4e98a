// Package seal makes statements that cannot be changed afterwards: a digest
// over the canonical JSON of a value (RFC 8785, SHA-256) and an Ed25519
// signature over that digest.
//
// The desk signs approvals with its Signer; the sender checks them against its
// own Keyring file, which names the public keys it trusts, since when, until
// when, and whether they were revoked. Both sides compute the digest
// themselves: a digest that travels with a message proves nothing.
//
// The canonical form is written here and not taken from a library because the
// small ones are unmaintained and accept what the RFC forbids (duplicate keys,
// lone surrogates, integers that lose digits).
package seal
