package rude

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/pptp"
)

// Victim is who a deed is done to.
type Victim uint8

// The victims.
const (
	Anybody Victim = iota
	PNS            // only one to whom we open the control connection
	PAC            // only one that opens it to us
	Caller         // only a pns that opens it to us, since we are a server that it calls
)

// Deed is one thing that must not be done.
type Deed struct {
	Name string
	To   Victim
	// Counts are the counters that the victim must count it by, and no others: "faults." and a name of control.Fault, "refused." and a
	// refusal's name, "gre." and unknown_call, foreign_address or malformed. Of names with "|" between them, one is enough, and
	// none if one of them is empty.
	Counts []string
	do     func(*visit) error
}

// floodOf is how many messages a flood has at most: more than any limit lets through.
const floodOf = 5000

// cutOff is what ends a flood: too many messages, or more replies than are read meanwhile.
const cutOff = "faults.message-rate|faults.not-reading"

// Deeds are all deeds to a victim.
func Deeds(to Victim) []Deed {
	all := slices.Concat(beginnings, framing, messages, floods, data)
	return slices.DeleteFunc(all, func(d Deed) bool { return d.To != Anybody && d.To != to })
}

// echo is a good message to be broken.
func echo() []byte { return (&pptp.EchoRequest{Identifier: 1}).Append(nil) }

// broken is an Echo-Request with other octets at an offset.
func broken(offset int, octets ...byte) []byte {
	b := echo()
	copy(b[offset:], octets)
	return b
}

// instead sends octets instead of a Start message, and wants to be cut off.
func instead(octets []byte) func(*visit) error {
	return func(v *visit) error {
		c, err := v.open()
		if err != nil {
			return err
		}
		if err := c.write(octets); err != nil {
			return err
		}
		return c.closed()
	}
}

// once established sends octets, and wants to be cut off.
func once(octets []byte) func(*visit) error {
	return func(v *visit) error {
		c, err := v.start()
		if err != nil {
			return err
		}
		if err := c.write(octets); err != nil {
			return err
		}
		return c.closed()
	}
}

// ignored sends octets on an established connection, which goes on.
func ignored(octets ...[]byte) func(*visit) error {
	return func(v *visit) error {
		c, err := v.start()
		if err != nil {
			return err
		}
		for _, b := range octets {
			if err := c.write(b); err != nil {
				return err
			}
		}
		return c.lives(77)
	}
}

var beginnings = []Deed{
	{Name: "a wrong magic cookie first", Counts: []string{"faults.bad-magic"}, do: instead(broken(4, 0))},
	{Name: "length 0 first", Counts: []string{"faults.bad-length"}, do: instead(broken(0, 0, 0))},
	{Name: "another protocol", Counts: []string{"faults.bad-length"}, do: instead([]byte("GET / HTTP/1.0\r\n\r\n"))},
	{Name: "another message first", To: PNS, Counts: []string{"faults.not-start"}, do: instead((&pptp.OutgoingCallRequest{PNSCallID: 1}).Append(nil))},
	{Name: "an unknown message first", To: PNS, Counts: []string{"faults.not-start"}, do: instead(broken(8, 0, 99))},
	{Name: "not a word", Counts: []string{"faults.no-start"}, do: instead(nil)},
}

var framing = []Deed{
	{Name: "a wrong magic cookie", Counts: []string{"faults.bad-magic"}, do: once(broken(4, 0))},
	{Name: "length 0", Counts: []string{"faults.bad-length"}, do: once(broken(0, 0, 0))},
	{Name: "length 65535", Counts: []string{"faults.bad-length"}, do: once(broken(0, 0xff, 0xff))},
	{Name: "shorter than its type", Counts: []string{"faults.bad-length"}, do: once(broken(0, 0, 12))},
	{Name: "a management message", Counts: []string{"faults.bad-message-type"}, do: once(broken(2, 0, 2))},
	{Name: "half a message for ever", Counts: []string{"faults.half-message"}, do: once(echo()[:9])},
	{Name: "a message that dribbles for ever", Counts: []string{"faults.half-message"}, do: dribble},
	{Name: "a message octet by octet", do: octetByOctet},
}

// dribble sends a message that is never whole, an octet now and then.
func dribble(v *visit) error {
	c, err := v.start()
	if err != nil {
		return err
	}
	octets := make([]byte, pptp.MaximumLength)
	copy(octets, echo())
	binary.BigEndian.PutUint16(octets, pptp.MaximumLength)
	tick := time.NewTicker(v.Pause)
	defer tick.Stop()
	for _, b := range octets[:pptp.MaximumLength-1] {
		if err := c.write([]byte{b}); err != nil {
			return err
		}
		select {
		case <-c.gone:
			return nil
		case <-tick.C:
		}
	}
	return fmt.Errorf("%d octets of half a message were taken", pptp.MaximumLength-1)
}

// octetByOctet is only strange, and must be understood.
func octetByOctet(v *visit) error {
	c, err := v.start()
	if err != nil {
		return err
	}
	for _, b := range (&pptp.EchoRequest{Identifier: 5}).Append(nil) {
		if err := c.write([]byte{b}); err != nil {
			return err
		}
	}
	reply, err := await[*pptp.EchoReply](c)
	if err == nil && reply.Identifier != 5 {
		err = fmt.Errorf("answered by %+v", reply)
	}
	return err
}

var messages = []Deed{
	{Name: "unknown types", Counts: []string{"faults.unknown-type"}, do: ignored(broken(8, 0, 0), broken(8, 0, 16), broken(8, 0, 99), broken(8, 0xff, 0xff))},
	{Name: "replies to nothing", Counts: []string{"faults.reply-to-nothing", "faults.echo-identifier"}, do: ignored(
		(&pptp.StartControlConnectionReply{ProtocolVersion: pptp.Version10, ResultCode: pptp.ControlOK}).Append(nil),
		(&pptp.StopControlConnectionReply{ResultCode: pptp.StopOK}).Append(nil),
		(&pptp.OutgoingCallReply{PACCallID: 3, PNSCallID: 4, ResultCode: pptp.OutgoingConnected}).Append(nil),
		(&pptp.IncomingCallReply{PACCallID: 3, PNSCallID: 4, ResultCode: pptp.IncomingAccept}).Append(nil),
		(&pptp.EchoReply{Identifier: 1234, ResultCode: pptp.EchoOK}).Append(nil),
	)},
	{Name: "wrong Call IDs", Counts: []string{"faults.unknown-call"}, do: wrongCallIDs},
	{Name: "what only a PAC says, in a call", To: PNS, Counts: []string{"faults.wrong-role"}, do: inCall(func(v *visit, c *conn, id uint16) error {
		return c.say(&pptp.OutgoingCallReply{PNSCallID: id, ResultCode: pptp.OutgoingConnected}, &pptp.IncomingCallConnected{PNSCallID: id}, &pptp.WANErrorNotify{PNSCallID: id})
	})},
	{Name: "a reply of another kind of call", To: PNS, Counts: []string{"faults.wrong-state"}, do: inCall(func(v *visit, c *conn, id uint16) error {
		return c.say(&pptp.IncomingCallReply{PACCallID: id, PNSCallID: 9, ResultCode: pptp.IncomingAccept})
	})},
	// What comes when the call has ended already is of no call.
	{Name: "GRE without sense, in a call", To: PNS, Counts: []string{"|gre.unknown_call"}, do: inCall(func(v *visit, c *conn, id uint16) error {
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 300 {
			payload := make([]byte, 1+random.IntN(1400))
			for n := range payload {
				payload[n] = byte(random.Uint32())
			}
			h := gre.Header{CallID: id, HasSequence: true, Sequence: random.Uint32(), HasAck: i%2 == 0, Ack: random.Uint32(), PayloadLength: uint16(len(payload))}
			if err := v.GRE(append(h.Append(nil), payload...)); err != nil {
				return err
			}
		}
		return nil
	})},
}

// inCall has a call placed, does something in it, and wants the connection to go on; id is the Call ID that the victim has assigned.
func inCall(do func(v *visit, c *conn, id uint16) error) func(*visit) error {
	return func(v *visit) error {
		c, err := v.start()
		if err != nil {
			return err
		}
		if err := c.say(outgoing(9)); err != nil {
			return err
		}
		reply, err := await[*pptp.OutgoingCallReply](c)
		if err != nil {
			return err
		}
		if err := do(v, c, reply.PACCallID); err != nil {
			return err
		}
		return c.lives(79)
	}
}

// wrongCallIDs names calls that are not there, and one that is somebody else's.
func wrongCallIDs(v *visit) error {
	c, err := v.start()
	if err != nil {
		return err
	}
	for _, id := range []uint16{0, v.Call, ^v.Call, 0xffff} {
		if err := c.say(
			&pptp.CallClearRequest{PNSCallID: id}, &pptp.CallDisconnectNotify{PACCallID: id, ResultCode: pptp.DisconnectRequest},
			&pptp.IncomingCallConnected{PNSCallID: id}, &pptp.WANErrorNotify{PNSCallID: id}, &pptp.SetLinkInfo{PACCallID: id},
		); err != nil {
			return err
		}
	}
	return c.lives(78)
}

var floods = []Deed{
	{Name: "a flood of Echo-Request", Counts: []string{cutOff}, do: flood(func(i int) pptp.Message { return &pptp.EchoRequest{Identifier: uint32(i)} })},
	{Name: "a flood of Start-Control-Connection-Request", Counts: []string{"faults.second-start", cutOff},
		do: flood(func(int) pptp.Message { return &pptp.StartControlConnectionRequest{ProtocolVersion: pptp.Version10} })},
	{Name: "a flood of Outgoing-Call-Request", To: PNS, Counts: []string{"refused.source-half-open", cutOff}, do: flood(outgoing)},
	{Name: "a flood of Outgoing-Call-Request", To: PAC, Counts: []string{"refused.number", cutOff}, do: flood(outgoing)},
	{Name: "a flood of Outgoing-Call-Request", To: Caller, Counts: []string{"refused.originated", cutOff}, do: flood(outgoing)},
	{Name: "a flood of Outgoing-Call-Request with one Call ID", To: PNS, Counts: []string{"faults.duplicate-call-id", cutOff},
		do: flood(func(int) pptp.Message { return outgoing(1) })},
	{Name: "a flood of Incoming-Call-Request", Counts: []string{"refused.not-a-pac", cutOff}, do: flood(incoming)},
	{Name: "a flood over many connections", To: PNS, Counts: []string{"refused.source-messages"}, do: floodOverMany},
	{Name: "a flood of control connections", To: PNS, Counts: []string{"refused.source-connections"}, do: floodOfConnections},
}

func outgoing(i int) pptp.Message {
	return &pptp.OutgoingCallRequest{PNSCallID: uint16(i), MinimumBPS: 300, MaximumBPS: 64000, BearerType: 3, FramingType: 3}
}

func incoming(i int) pptp.Message { return &pptp.IncomingCallRequest{PACCallID: uint16(i)} }

// flood sends messages as fast as they are taken, and wants to be cut off before the last.
func flood(message func(i int) pptp.Message) func(*visit) error {
	return func(v *visit) error {
		c, err := v.start()
		if err != nil {
			return err
		}
		for i := range floodOf {
			select {
			case <-c.gone:
				return nil
			default:
			}
			if err := c.say(message(i)); err != nil {
				return err
			}
		}
		return c.closed()
	}
}

// floodOverMany sends on each connection less than one may, and wants one of them cut off.
func floodOverMany(v *visit) error {
	const each = 500
	for range floodOf / 100 {
		c, err := v.start()
		if err != nil {
			return nil // cut off at its first message
		}
		for i := range uint32(each) {
			if err := c.say(&pptp.EchoRequest{Identifier: i}); err != nil {
				return err
			}
		}
		if err := c.lives(each); err != nil {
			return c.closed()
		}
	}
	return fmt.Errorf("%d messages over many connections", each*floodOf/100)
}

// floodOfConnections opens and keeps connections until one is closed unheard.
func floodOfConnections(v *visit) error {
	for range floodOf {
		if _, err := v.start(); err != nil {
			return nil
		}
	}
	return fmt.Errorf("%d control connections at once", floodOf)
}

var data = []Deed{
	{Name: "GRE into the call of somebody else", Counts: []string{"gre.foreign_address"}, do: packets(func(v *visit, i int) []byte {
		return packet(gre.Header{CallID: v.Call, HasSequence: true, Sequence: uint32(i), HasAck: true, Ack: uint32(i)})
	})},
	{Name: "GRE for calls that are not there", Counts: []string{"gre.unknown_call"}, do: packets(func(v *visit, i int) []byte {
		return packet(gre.Header{CallID: v.Call + 1 + uint16(i), HasSequence: true, Sequence: uint32(i)})
	})},
	{Name: "GRE that is none", Counts: []string{"gre.malformed"}, do: packets(func(v *visit, i int) []byte {
		good := packet(gre.Header{CallID: v.Call, HasSequence: true})
		return [][]byte{
			{0x30}, good[:7], append([]byte{0, 0x80}, good[2:]...) /* no key */, append([]byte{0x30, 0x80}, good[2:]...), /* version 0 */
			append([]byte{0x30, 0x82}, good[2:]...), append([]byte{good[0], good[1], 8, 0}, good[4:]...) /* IPv4 in it */, good[:len(good)-1],
		}[i%7]
	})},
}

// packet is a GRE packet that begins LCP.
func packet(h gre.Header) []byte {
	payload := []byte{0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4}
	h.PayloadLength = uint16(len(payload))
	return append(h.Append(nil), payload...)
}

// packets sends some hundred GRE packets.
func packets(make func(v *visit, i int) []byte) func(*visit) error {
	return func(v *visit) error {
		for i := range 350 {
			if err := v.GRE(make(v, i)); err != nil {
				return err
			}
		}
		return nil
	}
}
