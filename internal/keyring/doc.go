// Package keyring holds the named keys: who, beside the keys of DIR/keys that
// nats.conf names, may connect to the NATS server as an operator, a viewer or a
// service, and with what name they stand in the audit. `statuswire key` makes and
// ends them while the server runs.
//
// Only public keys are here. The seed is made by the command line and stays with
// it; who holds it signs the server's nonce with it, and the auth callout looks the
// public key up (authcallout).
//
// The keys are in a JetStream key-value bucket, one under each name, that
// internal/bucket keeps in memory on every node.
package keyring
