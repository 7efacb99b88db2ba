package authcallout

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"
)

// signer is the issuer's key pair with both keys at hand. nkeys derives them from
// the seed anew for each signature and each look at the public key, four times
// in a request, which costs more than the signatures themselves.
type signer struct {
	nkeys.KeyPair
	public  string
	private ed25519.PrivateKey
}

func newSigner(issuer nkeys.KeyPair) (*signer, error) {
	public, err := issuer.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("authcallout: issuer: %w", err)
	}
	if !nkeys.IsValidPublicAccountKey(public) {
		return nil, errors.New("authcallout: the issuer is not an account key")
	}
	seed, err := issuer.Seed()
	if err != nil {
		return nil, fmt.Errorf("authcallout: issuer: %w", err)
	}
	_, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("authcallout: issuer: %w", err)
	}
	return &signer{KeyPair: issuer, public: public, private: ed25519.NewKeyFromSeed(raw)}, nil
}

func (s *signer) PublicKey() (string, error)        { return s.public, nil }
func (s *signer) Sign(input []byte) ([]byte, error) { return ed25519.Sign(s.private, input), nil }
