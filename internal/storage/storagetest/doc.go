// Package storagetest brings a full disk about, for the tests of those who store.
// Unix only.
package storagetest
