package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/cose"
	"github.com/fido-device-onboard/go-fdo/kex"
	"github.com/fido-device-onboard/go-fdo/protocol"
	"github.com/fido-device-onboard/go-fdo/serviceinfo"
)

// session is one run of one protocol. Devices speak one message at a time, so only the map needs a lock.
type session struct {
	chain       []*x509.Certificate
	header      *fdo.VoucherHeader
	to0, to1    protocol.Nonce
	guid        protocol.GUID
	rvInfo      [][]protocol.RvInstruction
	nextGUID    protocol.GUID
	nextHmac    *protocol.Hmac
	suite       kex.Suite
	cipher      kex.CipherSuiteID
	keys        []byte
	prove       protocol.Nonce
	setup       protocol.Nonce
	mtu         uint16
	devmod      *serviceinfo.Devmod
	modules     []string
	devmodDone  bool
	turn        int
	provisioned []provision
}

// registration is what a rendezvous knows of a device.
type registration struct {
	to1d    *cose.Sign1[protocol.To1d, []byte]
	voucher *fdo.Voucher
	until   time.Time
}

// state is everything that a service keeps; each uses its part.
type state struct {
	keys
	mutex         sync.Mutex
	sessions      map[string]*session
	vouchers      map[protocol.GUID]*fdo.Voucher
	registrations map[protocol.GUID]registration
	// onReplace is told that a device is done.
	onReplace func(ctx context.Context, old, next protocol.GUID)
}

func newState() *state {
	return &state{
		sessions:      map[string]*session{},
		vouchers:      map[protocol.GUID]*fdo.Voucher{},
		registrations: map[protocol.GUID]registration{},
	}
}

type tokenKey struct{}

// --- tokens

func (s *state) NewToken(context.Context, protocol.Protocol) (string, error) {
	var token [16]byte
	_, _ = rand.Read(token[:])
	name := hex.EncodeToString(token[:])
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.sessions[name] = new(session)
	return name, nil
}

func (s *state) InvalidateToken(ctx context.Context) error {
	token, _ := s.TokenFromContext(ctx)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, ok := s.sessions[token]; !ok {
		return fdo.ErrNotFound
	}
	delete(s.sessions, token)
	return nil
}

func (s *state) TokenContext(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

func (s *state) TokenFromContext(ctx context.Context) (string, bool) {
	token, ok := ctx.Value(tokenKey{}).(string)
	return token, ok
}

func (s *state) session(ctx context.Context) (*session, error) {
	token, _ := s.TokenFromContext(ctx)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if found, ok := s.sessions[token]; ok {
		return found, nil
	}
	return nil, fdo.ErrInvalidSession
}

func set(s *state, ctx context.Context, change func(*session)) error {
	found, err := s.session(ctx)
	if err == nil {
		change(found)
	}
	return err
}

func get[T any](s *state, ctx context.Context, read func(*session) T) (value T, err error) {
	found, err := s.session(ctx)
	if err == nil {
		value = read(found)
	}
	return value, err
}

// --- DI, TO0, TO1

func (s *state) SetDeviceCertChain(ctx context.Context, chain []*x509.Certificate) error {
	return set(s, ctx, func(x *session) { x.chain = chain })
}

func (s *state) DeviceCertChain(ctx context.Context) ([]*x509.Certificate, error) {
	return get(s, ctx, func(x *session) []*x509.Certificate { return x.chain })
}

func (s *state) SetIncompleteVoucherHeader(ctx context.Context, header *fdo.VoucherHeader) error {
	return set(s, ctx, func(x *session) { x.header = header })
}

func (s *state) IncompleteVoucherHeader(ctx context.Context) (*fdo.VoucherHeader, error) {
	return get(s, ctx, func(x *session) *fdo.VoucherHeader { return x.header })
}

func (s *state) SetTO0SignNonce(ctx context.Context, nonce protocol.Nonce) error {
	return set(s, ctx, func(x *session) { x.to0 = nonce })
}

func (s *state) TO0SignNonce(ctx context.Context) (protocol.Nonce, error) {
	return get(s, ctx, func(x *session) protocol.Nonce { return x.to0 })
}

func (s *state) SetTO1ProofNonce(ctx context.Context, nonce protocol.Nonce) error {
	return set(s, ctx, func(x *session) { x.to1 = nonce })
}

func (s *state) TO1ProofNonce(ctx context.Context) (protocol.Nonce, error) {
	return get(s, ctx, func(x *session) protocol.Nonce { return x.to1 })
}

// --- TO2

func (s *state) SetGUID(ctx context.Context, guid protocol.GUID) error {
	return set(s, ctx, func(x *session) { x.guid = guid })
}

func (s *state) GUID(ctx context.Context) (protocol.GUID, error) {
	return get(s, ctx, func(x *session) protocol.GUID { return x.guid })
}

func (s *state) SetRvInfo(ctx context.Context, info [][]protocol.RvInstruction) error {
	return set(s, ctx, func(x *session) { x.rvInfo = info })
}

func (s *state) RvInfo(ctx context.Context) ([][]protocol.RvInstruction, error) {
	return get(s, ctx, func(x *session) [][]protocol.RvInstruction { return x.rvInfo })
}

func (s *state) SetReplacementGUID(ctx context.Context, guid protocol.GUID) error {
	return set(s, ctx, func(x *session) { x.nextGUID = guid })
}

func (s *state) ReplacementGUID(ctx context.Context) (protocol.GUID, error) {
	return get(s, ctx, func(x *session) protocol.GUID { return x.nextGUID })
}

func (s *state) SetReplacementHmac(ctx context.Context, hmac protocol.Hmac) error {
	return set(s, ctx, func(x *session) { x.nextHmac = &hmac })
}

func (s *state) ReplacementHmac(ctx context.Context) (protocol.Hmac, error) {
	found, err := s.session(ctx)
	if err == nil && found.nextHmac == nil {
		err = fdo.ErrNotFound
	}
	if err != nil {
		return protocol.Hmac{}, err
	}
	return *found.nextHmac, nil
}

// SetXSession keeps a copy: the library wipes its own when the message is done.
func (s *state) SetXSession(ctx context.Context, suite kex.Suite, exchange kex.Session) error {
	var cipher kex.CipherSuiteID
	switch exchange := exchange.(type) {
	case *kex.ECDHSession:
		cipher = exchange.ID
	case *kex.DHSession:
		cipher = exchange.ID
	case *kex.OAEPSession:
		cipher = exchange.ID
	default:
		return fmt.Errorf("a key exchange of type %T", exchange)
	}
	bytes, err := exchange.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	return set(s, ctx, func(x *session) { x.suite, x.cipher, x.keys = suite, cipher, bytes })
}

func (s *state) XSession(ctx context.Context) (kex.Suite, kex.Session, error) {
	found, err := s.session(ctx)
	if err == nil && found.keys == nil {
		err = fdo.ErrNotFound
	}
	if err != nil {
		return "", nil, err
	}
	exchange := found.suite.New(nil, found.cipher)
	err = exchange.(encoding.BinaryUnmarshaler).UnmarshalBinary(found.keys)
	return found.suite, exchange, err
}

func (s *state) SetProveDeviceNonce(ctx context.Context, nonce protocol.Nonce) error {
	return set(s, ctx, func(x *session) { x.prove = nonce })
}

func (s *state) ProveDeviceNonce(ctx context.Context) (protocol.Nonce, error) {
	return get(s, ctx, func(x *session) protocol.Nonce { return x.prove })
}

func (s *state) SetSetupDeviceNonce(ctx context.Context, nonce protocol.Nonce) error {
	return set(s, ctx, func(x *session) { x.setup = nonce })
}

func (s *state) SetupDeviceNonce(ctx context.Context) (protocol.Nonce, error) {
	return get(s, ctx, func(x *session) protocol.Nonce { return x.setup })
}

func (s *state) SetMTU(ctx context.Context, mtu uint16) error {
	return set(s, ctx, func(x *session) { x.mtu = mtu })
}

func (s *state) MTU(ctx context.Context) (uint16, error) {
	return get(s, ctx, func(x *session) uint16 { return x.mtu })
}

func (s *state) SetDevmod(ctx context.Context, devmod serviceinfo.Devmod, modules []string, complete bool) error {
	return set(s, ctx, func(x *session) { x.devmod, x.modules, x.devmodDone = &devmod, modules, complete })
}

func (s *state) Devmod(ctx context.Context) (devmod serviceinfo.Devmod, modules []string, complete bool, err error) {
	found, err := s.session(ctx)
	if err == nil && found.devmod == nil {
		err = fdo.ErrNotFound
	}
	if err == nil {
		devmod, modules, complete = *found.devmod, found.modules, found.devmodDone
	}
	return devmod, modules, complete, err
}

// --- vouchers and registrations

func (s *state) AddVoucher(_ context.Context, voucher *fdo.Voucher) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.vouchers[voucher.Header.Val.GUID] = voucher
	return nil
}

func (s *state) Voucher(_ context.Context, guid protocol.GUID) (*fdo.Voucher, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if voucher, ok := s.vouchers[guid]; ok {
		return voucher, nil
	}
	return nil, fdo.ErrNotFound
}

func (s *state) ReplaceVoucher(ctx context.Context, guid protocol.GUID, voucher *fdo.Voucher) error {
	s.mutex.Lock()
	delete(s.vouchers, guid)
	s.vouchers[voucher.Header.Val.GUID] = voucher
	s.mutex.Unlock()
	s.onReplace(ctx, guid, voucher.Header.Val.GUID)
	return nil
}

func (s *state) SetRVBlob(_ context.Context, voucher *fdo.Voucher, to1d *cose.Sign1[protocol.To1d, []byte], until time.Time) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.registrations[voucher.Header.Val.GUID] = registration{to1d, voucher, until}
	return nil
}

func (s *state) RVBlob(_ context.Context, guid protocol.GUID) (*cose.Sign1[protocol.To1d, []byte], *fdo.Voucher, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if found, ok := s.registrations[guid]; ok && time.Now().Before(found.until) {
		return found.to1d, found.voucher, nil
	}
	return nil, nil, fdo.ErrNotFound
}
