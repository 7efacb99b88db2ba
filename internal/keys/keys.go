// Package keys keeps the seeds and the secret of one Statuswire installation in
// DIR/keys: made on the first start, read ever after. Nothing here prints a seed;
// errors name the file only.
//
//	service.nk     user key of the services that publish (account STATUS)
//	operator.nk    user key of the command line and the nats CLI (account OPS)
//	system.nk      user key for the server's own reports (account OPS)
//	issuer.nk      account key that signs the grants of the auth callout
//	xkey.nk        curve key that seals callout requests when they leave the process
//	NAME.nk        user key that `statuswire key create NAME` made
//	token.secret   HMAC secret of the development tokens (statuswire token)
package keys

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"
)

// MinTokenSecretBytes is the shortest token secret that is accepted: the output
// size of SHA-256 (RFC 7518 section 3.2).
const MinTokenSecretBytes = 32

// Set is everything in DIR/keys. The key pairs are safe for concurrent use.
type Set struct {
	Service  nkeys.KeyPair // user key, pub on status.*.*
	Operator nkeys.KeyPair // user key, nats CLI and admin commands
	System   nkeys.KeyPair // user key in the system account, reports only
	Issuer   nkeys.KeyPair // account key, signs grants
	XKey     nkeys.KeyPair // curve key, seals callout requests

	// TokenSecret is the text of token.secret without the newline, as bytes, so
	// that any JWT library can be given the same text.
	TokenSecret []byte
}

// The files below DIR/keys.
const (
	serviceFile  = "service.nk"
	operatorFile = "operator.nk"
	systemFile   = "system.nk"
	issuerFile   = "issuer.nk"
	xkeyFile     = "xkey.nk"
	secretFile   = "token.secret"
)

// Dir is the folder of the keys below the data folder.
func Dir(dataDir string) string { return filepath.Join(dataDir, "keys") }

// ServiceFile is the path of the service key below the data folder.
func ServiceFile(dataDir string) string { return filepath.Join(Dir(dataDir), serviceFile) }

// OperatorFile is the path of the operator key below the data folder.
func OperatorFile(dataDir string) string { return filepath.Join(Dir(dataDir), operatorFile) }

// SystemFile is the path of the system key below the data folder.
func SystemFile(dataDir string) string { return filepath.Join(Dir(dataDir), systemFile) }

// Load reads DIR/keys and makes what is missing: folders 0700, files 0600. A file
// that every user of the machine may read is refused, as is one that holds the
// wrong kind of key, and a folder in which they may replace it; nothing that is
// there is ever replaced.
func Load(dataDir string) (*Set, error) {
	dir := Dir(dataDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the keys: %w", err)
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	set := &Set{}
	for _, f := range []struct {
		name   string
		prefix nkeys.PrefixByte
		into   *nkeys.KeyPair
	}{
		{serviceFile, nkeys.PrefixByteUser, &set.Service},
		{operatorFile, nkeys.PrefixByteUser, &set.Operator},
		{systemFile, nkeys.PrefixByteUser, &set.System},
		{issuerFile, nkeys.PrefixByteAccount, &set.Issuer},
		{xkeyFile, nkeys.PrefixByteCurve, &set.XKey},
	} {
		kp, err := loadKey(filepath.Join(dir, f.name), f.prefix)
		if err != nil {
			return nil, err
		}
		*f.into = kp
	}
	secret, err := loadSecret(filepath.Join(dir, secretFile))
	if err != nil {
		return nil, err
	}
	set.TokenSecret = secret
	return set, nil
}

// ReadOperator reads the operator key and makes nothing. The error says what to
// do when there is none.
func ReadOperator(dataDir string) (nkeys.KeyPair, error) {
	kp, err := readKey(OperatorFile(dataDir), nkeys.PrefixByteUser)
	return kp, hintMissing(dataDir, OperatorFile(dataDir), err)
}

// NamedFile is the path of the seed of a named key below the data folder.
func NamedFile(dataDir, name string) string { return filepath.Join(Dir(dataDir), name+".nk") }

// MakeNamed makes a user key, writes its seed to NamedFile, 0600, and returns it. A
// file that is there is not touched; the error wraps os.ErrExist.
func MakeNamed(dataDir, name string) (nkeys.KeyPair, error) {
	if err := os.MkdirAll(Dir(dataDir), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the keys: %w", err)
	}
	if err := checkDir(Dir(dataDir)); err != nil {
		return nil, err
	}
	kp, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	seed, err := kp.Seed()
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	return kp, writeNew(NamedFile(dataDir, name), seed)
}

// ReadNamed reads the seed of a named key and makes nothing.
func ReadNamed(dataDir, name string) (nkeys.KeyPair, error) {
	return readKey(NamedFile(dataDir, name), nkeys.PrefixByteUser)
}

// ReadTokenSecret reads the secret of the development tokens and makes nothing.
// The error says what to do when there is none.
func ReadTokenSecret(dataDir string) ([]byte, error) {
	path := filepath.Join(Dir(dataDir), secretFile)
	secret, err := readSecret(path)
	return secret, hintMissing(dataDir, path, err)
}

func hintMissing(dataDir, path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &MissingError{DataDir: dataDir, Path: path, err: err}
	}
	return err
}

func loadKey(path string, prefix nkeys.PrefixByte) (nkeys.KeyPair, error) {
	kp, err := readKey(path, prefix)
	if !errors.Is(err, os.ErrNotExist) {
		return kp, err
	}
	if kp, err = nkeys.CreatePair(prefix); err != nil {
		return nil, fmt.Errorf("cannot make a key for %s: %w", path, err)
	}
	seed, err := kp.Seed()
	if err != nil {
		return nil, fmt.Errorf("cannot make a key for %s: %w", path, err)
	}
	return kp, write(path, seed)
}

func readKey(path string, prefix nkeys.PrefixByte) (nkeys.KeyPair, error) {
	seed, err := read(path)
	if err != nil {
		return nil, err
	}
	got, _, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("%s holds no nkey seed: restore it, or move it away to get a new one", path)
	}
	if got != prefix {
		return nil, fmt.Errorf("%s holds a key of kind %s, it must be of kind %s", path, got, prefix)
	}
	kp, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("%s holds no nkey seed: restore it, or move it away to get a new one", path)
	}
	return kp, nil
}

func loadSecret(path string) ([]byte, error) {
	secret, err := readSecret(path)
	if !errors.Is(err, os.ErrNotExist) {
		return secret, err
	}
	raw := make([]byte, MinTokenSecretBytes)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("cannot make a secret for %s: %w", path, err)
	}
	secret = []byte(base64.RawURLEncoding.EncodeToString(raw))
	return secret, write(path, secret)
}

func readSecret(path string) ([]byte, error) {
	secret, err := read(path)
	if err != nil {
		return nil, err
	}
	if len(secret) < MinTokenSecretBytes {
		return nil, fmt.Errorf("%s is too short for a token secret: it has %d bytes, at least %d are needed", path, len(secret), MinTokenSecretBytes)
	}
	return secret, nil
}
