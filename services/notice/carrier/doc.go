// Package carrier holds the words in which notice and its vendors' packages
// talk: what the answer to a request proves, what a receipt means, and how a
// vendor's HTTP connection is made so that both can be known.
package carrier
