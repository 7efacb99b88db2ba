// Package directory holds the words for "who may see which conversation": the
// conversation with its owner, its members and its own categories, the errors
// that every directory answers with, and the notice that something changed.
//
// The directories themselves are adapters in packages below, named after their
// technology: kv keeps conversations in a JetStream key-value bucket. Each runs
// the one suite in directorytest. Who needs a directory declares the few methods
// that it calls: authcallout, broadcaster and edge look conversations up, admin
// writes them, the gateway listens for changes.
package directory
