package main

import (
	"encoding"

	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/status"
)

// The identifiers of the command line: a bad one is refused before a server is
// asked, as a fault of the command line.
type (
	conversationID status.ConversationID
	userID         status.UserID
	category       status.Category
	keyName        keyring.Name
)

var (
	_ encoding.TextUnmarshaler = (*conversationID)(nil)
	_ encoding.TextUnmarshaler = (*userID)(nil)
	_ encoding.TextUnmarshaler = (*category)(nil)
	_ encoding.TextUnmarshaler = (*keyName)(nil)
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *conversationID) UnmarshalText(text []byte) error {
	id, err := status.ParseConversationID(string(text))
	*c = conversationID(id)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *userID) UnmarshalText(text []byte) error {
	id, err := status.ParseUserID(string(text))
	*u = userID(id)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *category) UnmarshalText(text []byte) error {
	name, err := status.ParseCategory(string(text))
	*c = category(name)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *keyName) UnmarshalText(text []byte) error {
	name, err := keyring.ParseName(string(text))
	*k = keyName(name)
	return err
}

func users(list []userID) []status.UserID {
	var out []status.UserID
	for _, u := range list {
		out = append(out, status.UserID(u))
	}
	return out
}

func categories(list []category) []status.Category {
	var out []status.Category
	for _, c := range list {
		out = append(out, status.Category(c))
	}
	return out
}
