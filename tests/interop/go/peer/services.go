package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/cbor"
	"github.com/fido-device-onboard/go-fdo/custom"
	fdohttp "github.com/fido-device-onboard/go-fdo/http"
	"github.com/fido-device-onboard/go-fdo/protocol"
)

// manufacturer speaks DI, and hands out and extends vouchers.
func manufacturer(mux *http.ServeMux, rendezvous string) error {
	s := newState()
	var err error
	if s.keys, err = newKeys(); err != nil {
		return err
	}
	rvInfo, err := directive(rendezvous)
	if err != nil {
		return err
	}
	caKey, caChain, err := deviceCA()
	if err != nil {
		return err
	}
	mux.Handle("POST /fdo/101/msg/{msg}", &fdohttp.Handler{Tokens: s, DIResponder: &fdo.DIServer[custom.DeviceMfgInfo]{
		Session:               s,
		Vouchers:              s,
		SignDeviceCertificate: custom.SignDeviceCertificate(caKey, caChain),
		DeviceInfo: func(_ context.Context, info *custom.DeviceMfgInfo, chain []*x509.Certificate) (string, protocol.PublicKey, error) {
			bits := 3072
			if device, ok := chain[0].PublicKey.(*rsa.PublicKey); ok {
				bits = device.Size() * 8
			}
			key, err := s.public(info.KeyType, bits, info.KeyEncoding)
			if err != nil {
				return "", protocol.PublicKey{}, err
			}
			return info.DeviceInfo, *key, nil
		},
		RvInfo: func(context.Context, *fdo.Voucher) ([][]protocol.RvInstruction, error) { return rvInfo, nil },
	}})
	route(mux, "POST /vouchers/{guid}/extend", func(guid protocol.GUID, body []byte) (any, error) {
		voucher, err := s.Voucher(context.Background(), guid)
		if err != nil {
			return nil, err
		}
		if voucher, err = s.extend(voucher, body); err != nil {
			return nil, err
		}
		return encodeVoucher(voucher)
	})
	return nil
}

// rendezvousService speaks TO0 and TO1. The library checks the voucher; whose devices it takes is not this test's matter.
func rendezvousService(mux *http.ServeMux) {
	s := newState()
	mux.Handle("POST /fdo/101/msg/{msg}", &fdohttp.Handler{
		Tokens: s,
		TO0Responder: &fdo.TO0Server{
			Session: s,
			RVBlobs: s,
			AcceptVoucher: func(_ context.Context, voucher fdo.Voucher, wait uint32) (uint32, error) {
				return min(wait, 86400), voucher.VerifyDeviceCertChain(nil)
			},
		},
		TO1Responder: &fdo.TO1Server{Session: s, RVBlobs: s},
	})
}

// owner speaks TO0 as a client and TO2 as a server.
func owner(mux *http.ServeMux, address *net.TCPAddr) error {
	s := newState()
	var err error
	if s.keys, err = newKeys(); err != nil {
		return err
	}
	plans := newPlans(s)
	s.onReplace = plans.done
	mux.Handle("POST /fdo/101/msg/{msg}", &fdohttp.Handler{Tokens: s, TO2Responder: &fdo.TO2Server{
		Session:   s,
		Modules:   plans,
		Vouchers:  s,
		OwnerKeys: s,
		RvInfo: func(_ context.Context, voucher fdo.Voucher) ([][]protocol.RvInstruction, error) {
			return voucher.Header.Val.RvInfo, nil
		},
	}})
	route(mux, "GET /keys", func(protocol.GUID, []byte) (any, error) { return s.pem() })
	route(mux, "POST /vouchers", func(_ protocol.GUID, body []byte) (any, error) {
		voucher, err := decodeVoucher(body)
		if err != nil {
			return nil, err
		}
		guid := voucher.Header.Val.GUID
		return map[string]string{"guid": hex.EncodeToString(guid[:])}, s.AddVoucher(context.Background(), voucher)
	})
	route(mux, "POST /devices/{guid}/to0", func(guid protocol.GUID, body []byte) (any, error) {
		ip := address.IP
		client := &fdo.TO0Client{Vouchers: s, OwnerKeys: s, TTL: 3600}
		transport := &fdohttp.Transport{BaseURL: string(body), Client: &http.Client{Timeout: 20 * time.Second}}
		seconds, err := client.RegisterBlob(context.Background(), transport, guid, []protocol.RvTO2Addr{{
			IPAddress:         &ip,
			Port:              uint16(address.Port),
			TransportProtocol: protocol.HTTPTransport,
		}})
		return map[string]uint32{"seconds": seconds}, err
	})
	route(mux, "PUT /devices/{guid}/plan", func(guid protocol.GUID, body []byte) (any, error) {
		var steps []step
		if err := json.Unmarshal(body, &steps); err != nil {
			return nil, err
		}
		plans.set(guid, steps)
		return steps, nil
	})
	route(mux, "GET /devices/{guid}", func(guid protocol.GUID, _ []byte) (any, error) { return plans.outcome(guid), nil })
	return nil
}

// directive is one rendezvous instruction with protocol, address and ports, the address in sixteen bytes as
// go-fdo-server writes it.
func directive(rendezvous string) ([][]protocol.RvInstruction, error) {
	at, err := url.Parse(rendezvous)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(at.Port(), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("--rendezvous %q: %w", rendezvous, err)
	}
	var directive []protocol.RvInstruction
	for _, instruction := range []struct {
		variable protocol.RvVar
		value    any
	}{
		{protocol.RVProtocol, protocol.RVProtHTTP},
		{protocol.RVIPAddress, net.ParseIP(at.Hostname())},
		{protocol.RVDevPort, uint16(port)},
		{protocol.RVOwnerPort, uint16(port)},
	} {
		value, err := cbor.Marshal(instruction.value)
		if err != nil {
			return nil, err
		}
		directive = append(directive, protocol.RvInstruction{Variable: instruction.variable, Value: value})
	}
	return [][]protocol.RvInstruction{directive}, nil
}

func deviceCA() (*ecdsa.PrivateKey, []*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Interop device CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return key, []*x509.Certificate{certificate}, err
}
