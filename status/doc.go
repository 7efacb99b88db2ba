// Package status holds the words that every part of Statuswire and every
// publisher share: conversation ids, categories, user ids, subjects, the status
// message and the table of errors that cross the wire.
//
// It depends on nothing but the standard library, so that a service can import
// it without bringing a server along.
package status
