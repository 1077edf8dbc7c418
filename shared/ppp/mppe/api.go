package mppe

// Encryptor is the sending direction of a call.
type Encryptor struct{ s EncryptorState }

// EncryptorState is an Encryptor as plain data.
type EncryptorState struct {
	KeyLength  KeyLength
	StartKey   Key
	SessionKey Key    // of the last packet sealed
	Count      uint16 // of the next packet
	Packets    uint64 // sealed so far
}

// NewEncryptor makes the sending direction from p.SendKey.
func NewEncryptor(p Params) (*Encryptor, error) { return &Encryptor{}, nil }

// RestoreEncryptor goes on where State left off.
func RestoreEncryptor(s EncryptorState) (*Encryptor, error) { return &Encryptor{s: s}, nil }

// State returns a copy of everything the Encryptor knows.
func (e *Encryptor) State() EncryptorState { return e.s }

// Seal appends the MPPE header and the encrypted packet to dst. packet is the
// original PPP protocol field and information; the caller has put the protocol
// 00FD in front. dst[len(dst)+HeaderLength:] may be the very memory of packet,
// which is then encrypted in place; any other overlap is wrong.
func (e *Encryptor) Seal(dst, packet []byte) []byte { return dst }

// Decryptor is the receiving direction of a call.
type Decryptor struct{ s DecryptorState }

// DecryptorState is a Decryptor as plain data.
type DecryptorState struct {
	KeyLength  KeyLength
	StartKey   Key
	SessionKey Key
}

// NewDecryptor makes the receiving direction from p.ReceiveKey.
func NewDecryptor(p Params) (*Decryptor, error) { return &Decryptor{}, nil }

// RestoreDecryptor goes on where State left off.
func RestoreDecryptor(s DecryptorState) (*Decryptor, error) { return &Decryptor{s: s}, nil }

// State returns a copy of everything the Decryptor knows.
func (d *Decryptor) State() DecryptorState { return d.s }

// Open appends the decrypted protocol field and information to dst. packet is the
// information field of a PPP packet of protocol 00FD, so it starts with the MPPE
// header. dst may end where packet's data begins (packet[2:2]), which decrypts in
// place; any other overlap is wrong.
//
// lost is how many packets the layer below knows to be missing between the
// packet handed to Open before and this one (gaps in GRE sequence numbers), 0
// if none or not known. It tells a loss of more than half the coherency count's
// range from a late packet.
func (d *Decryptor) Open(dst, packet []byte, lost uint32) ([]byte, error) { return dst, nil }

// MasterKey derives the MS-CHAPv2 master key from the NT password hash and the
// NT-Response (RFC 3079 section 3.4, GetMasterKey).
func MasterKey(ntHash [16]byte, ntResponse [24]byte) (Key, error) { return Key{}, nil }

// ServerKeys returns the start keys of the authenticator: what it sends with
// and what it receives with (RFC 3079 section 3.4, GetAsymmetricStartKey). The
// peer uses them the other way round.
func ServerKeys(master Key) (send, receive Key, err error) { return send, receive, nil }
