package engine_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/internal/engine"
)

// certificate writes a certificate and its key, with the mode.
func certificate(t *testing.T, mode os.FileMode) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &pair.PublicKey, pair)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(key, mode); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestAKeyOfTLSThatEverybodyMayReadIsTold(t *testing.T) {
	for mode, told := range map[os.FileMode]bool{0o640: false, 0o644: true} {
		cert, key := certificate(t, mode)
		opts := options(t)
		var log bytes.Buffer
		opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
		opts.Config = append(statuswire.DefaultNATSConfig(), "\ntls { cert_file: \""+cert+"\", key_file: \""+key+"\" }\n"...)
		if _, err := engine.New(opts); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "chmod 600 "+key); got != told {
			t.Errorf("mode %04o: told is %v, want %v: %s", mode, got, told, log.String())
		}
	}
}
