// Package statuswire holds the two configuration files as they are shipped, so
// that the program runs without any file and its defaults cannot differ from them.
package statuswire

import _ "embed"

//go:embed nats.conf
var natsConfig string

//go:embed statuswire.conf
var config string

// DefaultNATSConfig is the text of the shipped nats.conf. The caller may change
// the slice.
func DefaultNATSConfig() []byte { return []byte(natsConfig) }

// DefaultConfig is the text of the shipped statuswire.conf. The caller may change
// the slice.
func DefaultConfig() []byte { return []byte(config) }
