// Package kv is the directory in a JetStream key-value bucket: one key per
// conversation, its id, one JSON value, the conversation. `nats kv get directory
// c1` shows it.
//
// internal/bucket keeps it in memory and writes to it: a look-up costs no round
// trip, and who creates a conversation can publish to it at once, on the same node.
//
// What cannot be read (broken JSON, an id that is not the key's) is logged by
// key, never by value, and counts as unknown.
package kv
