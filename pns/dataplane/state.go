package dataplane

import (
	"fmt"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/ppp/mppe"
)

// State is what the data plane knows of a call as plain data, so that another process can carry it on.
type State struct {
	Receiver gre.ReceiverState
	Sender   gre.SenderState
	Window   uint16 // packets the peer buffers
	Hold     int    // packets that may wait for it; those that do are not part of the state
	PathMTU  int

	Open      bool // the rest is valid
	Network   Network
	Encryptor mppe.EncryptorState // with encryption
	Decryptor mppe.DecryptorState
	Counters  Counters
}

// State returns a copy of what the data plane knows of the call. To be true at the time of a handover it must be taken
// after the plane has stopped reading.
func (e *Entry) State() State {
	s := State{PathMTU: int(e.pathMTU.Load()), Counters: e.Counters()}
	nw := e.net.Load()
	if nw != nil {
		s.Open, s.Network = true, nw.Network
	}
	e.in.Lock()
	s.Receiver = e.in.receiver.State()
	if e.in.opener != nil {
		s.Decryptor = e.in.opener.State()
	}
	e.in.Unlock()
	e.out.Lock()
	defer e.out.Unlock()
	s.Sender, s.Window, s.Hold = e.out.sender.State(), e.out.config.Window, e.out.hold
	if e.out.sealer != nil {
		s.Encryptor = e.out.sealer.State()
	}
	return s
}

// Restore adds a call that goes on where State left off.
func (p *Plane) Restore(c Call, s State) (*Entry, error) {
	c.Window, c.Hold, c.PathMTU = s.Window, s.Hold, s.PathMTU
	e, err := p.entry(c)
	if err != nil {
		return nil, err
	}
	e.before = &s.Counters
	if e.in.receiver, err = gre.RestoreReceiver(gre.ReceiverConfig{}, s.Receiver); err != nil {
		return nil, fmt.Errorf("call %d of %v: %w", c.Own, c.Remote, err)
	}
	if e.out.sender, err = gre.RestoreSender(e.out.config, s.Sender); err != nil {
		return nil, fmt.Errorf("call %d of %v: %w", c.Own, c.Remote, err)
	}
	// The receiver carries its own part of the counters.
	flow := e.in.receiver.Counters()
	e.before.Lost, e.before.Late, e.before.Duplicates, e.before.Reordered, e.before.Overtaken = 0, 0, 0, 0, 0
	e.before.AcksIn -= min(flow.AckOnly, e.before.AcksIn)
	e.before.Malformed -= min(flow.Unsequenced, e.before.Malformed)
	if err := p.add(e); err != nil {
		return nil, err
	}
	if !s.Open {
		return e, nil
	}
	if err := e.reopen(s); err != nil {
		e.Remove()
		return nil, fmt.Errorf("call %d of %v: %w", c.Own, c.Remote, err)
	}
	return e, nil
}

func (e *Entry) reopen(s State) error {
	if s.Network.Encryption == nil {
		return e.install(s.Network, nil, nil)
	}
	sealer, err := mppe.RestoreEncryptor(s.Encryptor)
	if err != nil {
		return err
	}
	opener, err := mppe.RestoreDecryptor(s.Decryptor)
	if err != nil {
		return err
	}
	return e.install(s.Network, sealer, opener)
}
