// Package rulebook says which rules hold for an organisation: the built-in
// package or one that the organisation has accepted, always together with the
// organisation's own promises.
//
// A rule package is a folder with rules/, calendars/ and data/, carried as a
// compressed archive and named by the digest of what is in it. One person of an
// organisation proposes it, another accepts it; both are kept in the bucket
// law-packages with every acceptance before. An acceptance holds for that
// organisation alone and reaches every replica at once.
//
// Limits: 700 kB packed, 16 MB unpacked, 2,000 files. An accepted package that
// no longer loads, such as after an upgrade, is an error in the log; the
// built-in rules then hold until another is accepted, because old law is
// better than none.
package rulebook
