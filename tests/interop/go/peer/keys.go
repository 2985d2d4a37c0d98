package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/cbor"
	"github.com/fido-device-onboard/go-fdo/protocol"
)

const voucherLabel = "OWNERSHIP VOUCHER"

// keys are one key for each type that devices use.
type keys struct {
	p256, p384       *ecdsa.PrivateKey
	rsa2048, rsa3072 *rsa.PrivateKey
}

func newKeys() (k keys, err error) {
	if k.p256, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return k, err
	}
	if k.p384, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		return k, err
	}
	if k.rsa2048, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return k, err
	}
	k.rsa3072, err = rsa.GenerateKey(rand.Reader, 3072)
	return k, err
}

// OwnerKey is the key of this type; RSAPKCS comes in two sizes.
func (k keys) OwnerKey(_ context.Context, keyType protocol.KeyType, rsaBits int) (crypto.Signer, []*x509.Certificate, error) {
	switch keyType {
	case protocol.Secp256r1KeyType:
		return k.p256, nil, nil
	case protocol.Secp384r1KeyType:
		return k.p384, nil, nil
	case protocol.Rsa2048RestrKeyType:
		return k.rsa2048, nil, nil
	case protocol.RsaPkcsKeyType:
		if rsaBits == 2048 {
			return k.rsa2048, nil, nil
		}
		return k.rsa3072, nil, nil
	}
	return nil, nil, fdo.ErrUnsupportedKeyType(keyType)
}

// public is the key in the encoding that was asked for: X509 or COSE.
func (k keys) public(keyType protocol.KeyType, rsaBits int, encoding protocol.KeyEncoding) (*protocol.PublicKey, error) {
	key, _, err := k.OwnerKey(context.Background(), keyType, rsaBits)
	if err != nil {
		return nil, err
	}
	asCOSE := encoding == protocol.CoseKeyEnc
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		return protocol.NewPublicKey(keyType, public, asCOSE)
	case *rsa.PublicKey:
		return protocol.NewPublicKey(keyType, public, asCOSE)
	}
	return nil, fmt.Errorf("a key of type %T", key)
}

// pem holds all public keys.
func (k keys) pem() ([]byte, error) {
	var text []byte
	for _, public := range []any{&k.p256.PublicKey, &k.p384.PublicKey, &k.rsa2048.PublicKey, &k.rsa3072.PublicKey} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return nil, err
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return text, nil
}

// extend signs a voucher over to the key in PEM.
func (k keys) extend(voucher *fdo.Voucher, next []byte) (*fdo.Voucher, error) {
	block, _ := pem.Decode(next)
	if block == nil {
		return nil, fmt.Errorf("no PEM in the request")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	maker := voucher.Header.Val.ManufacturerKey
	key, _, err := k.OwnerKey(context.Background(), maker.Type, maker.RsaBits())
	if err != nil {
		return nil, err
	}
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		return fdo.ExtendVoucher(voucher, key, public, nil)
	case *rsa.PublicKey:
		return fdo.ExtendVoucher(voucher, key, public, nil)
	}
	return nil, fmt.Errorf("a key of type %T", public)
}

func encodeVoucher(voucher *fdo.Voucher) ([]byte, error) {
	body, err := cbor.Marshal(voucher)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: voucherLabel, Bytes: body}), nil
}

func decodeVoucher(text []byte) (*fdo.Voucher, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != voucherLabel {
		return nil, fmt.Errorf("no voucher in PEM")
	}
	voucher := new(fdo.Voucher)
	if err := cbor.Unmarshal(block.Bytes, voucher); err != nil {
		return nil, err
	}
	return voucher, voucher.VerifyEntries()
}

func parseGUID(text string) (guid protocol.GUID, err error) {
	bytes, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(bytes) != len(guid) {
		return guid, fmt.Errorf("%q is no GUID", text)
	}
	copy(guid[:], bytes)
	return guid, nil
}
