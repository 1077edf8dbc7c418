package link

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/test/capture"
)

// recorded is one direction of a recorded call: control packets by protocol, in order.
type recorded struct {
	requests map[ppp.Protocol][]fsm.Packet // Configure-Requests
	answers  map[ppp.Protocol][]fsm.Packet // Acks, Naks, Rejects
	others   map[ppp.Protocol][]fsm.Packet // anything else
}

// recording reads both directions of a call.
func recording(t *testing.T, r capture.Recording) (client, server *recorded) {
	t.Helper()
	client, server = newRecorded(), newRecorded()
	add := func(fromClient bool, frame []byte) {
		proto, info, err := ppp.Split(frame)
		if err != nil || proto.Data() {
			return
		}
		p, err := fsm.ParsePacket(bytes.Clone(info))
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		d := server
		if fromClient {
			d = client
		}
		switch isAuth := proto == ppp.PAP || proto == ppp.CHAP; {
		case !isAuth && p.Code == fsm.ConfigureRequest:
			d.requests[proto] = append(d.requests[proto], p)
		case !isAuth && p.Code <= fsm.ConfigureReject:
			d.answers[proto] = append(d.answers[proto], p)
		default:
			d.others[proto] = append(d.others[proto], p)
		}
	}
	frames, err := r.Frames()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		add(f.FromClient, f.Data)
	}
	return client, server
}

func newRecorded() *recorded {
	return &recorded{map[ppp.Protocol][]fsm.Packet{}, map[ppp.Protocol][]fsm.Packet{}, map[ppp.Protocol][]fsm.Packet{}}
}

// actor plays a recorded party towards a link of ours: its own requests come from the
// recording, its answers to ours are made as it would.
type actor struct {
	t        *testing.T
	l        *Link
	now      time.Time
	self     *recorded // what it sent
	twin     *recorded // what the other recorded party sent to it
	next     map[ppp.Protocol]int
	request  map[ppp.Protocol]fsm.Packet // outstanding
	same     int                         // answers of ours that equal those recorded
	differ   []string
	queue    [][]byte
	up       *NetworkUp
	ended    *Reason
	responds []fsm.Packet // authentication packets of ours
}

func newActor(t *testing.T, cfg Config, self, twin *recorded) *actor {
	a := &actor{t: t, l: New(epoch, cfg), now: epoch, self: self, twin: twin, next: map[ppp.Protocol]int{}, request: map[ppp.Protocol]fsm.Packet{}}
	a.l.Up(a.now)
	a.send(ppp.LCP)
	return a
}

func (a *actor) put(proto ppp.Protocol, p fsm.Packet) {
	a.queue = append(a.queue, control(proto, p.Code, p.Identifier, p.Data...))
}

// send makes the next recorded Configure-Request of a protocol; false if there is none.
func (a *actor) send(proto ppp.Protocol) bool {
	i := a.next[proto]
	if i >= len(a.self.requests[proto]) {
		return false
	}
	a.next[proto]++
	a.request[proto] = a.self.requests[proto][i]
	a.put(proto, a.request[proto])
	return true
}

// run lets the two talk until nothing is left to say.
func (a *actor) run(verdict func(auth.Attempt) auth.Verdict) {
	for range 1000 {
		actions := a.l.Actions()
		for _, x := range actions {
			switch x := x.(type) {
			case Send:
				proto, info, _ := ppp.Split(x.Frame)
				p, err := fsm.ParsePacket(info)
				if err != nil {
					a.t.Fatalf("sent %x: %v", x.Frame, err)
				}
				a.react(proto, p)
			case Authenticate:
				a.l.Authenticated(a.now, verdict(x.Attempt))
			case NetworkUp:
				a.up = &x
			case LinkUp:
				if a.l.plan.cfg.Side == Server && x.Authentication == auth.PAP {
					a.put(ppp.PAP, a.self.others[ppp.PAP][0])
				}
			case Ended:
				a.ended = &x.Reason
			}
		}
		if len(a.queue) == 0 {
			if len(actions) == 0 {
				return
			}
			continue
		}
		frame := a.queue[0]
		a.queue = a.queue[1:]
		a.now = a.now.Add(time.Millisecond)
		a.l.Receive(a.now, frame)
	}
	a.t.Fatal("they never fall silent")
}

// react answers a packet of ours.
func (a *actor) react(proto ppp.Protocol, p fsm.Packet) {
	if proto == ppp.PAP || proto == ppp.CHAP {
		a.authenticate(proto, p)
		return
	}
	switch p.Code {
	case fsm.ConfigureRequest:
		a.answer(proto, p)
	case fsm.ConfigureAck, fsm.ConfigureNak, fsm.ConfigureReject:
		a.compare(proto, p)
		if p.Code != fsm.ConfigureAck && !a.send(proto) {
			a.improvise(proto, p)
		}
	case fsm.TerminateRequest:
		a.put(proto, fsm.Packet{Code: fsm.TerminateAck, Identifier: p.Identifier})
	}
}

// answer deals with a Configure-Request of ours: what it rejected then, it rejects
// now; a protocol that it did not speak, too.
func (a *actor) answer(proto ppp.Protocol, p fsm.Packet) {
	if len(a.self.requests[proto]) == 0 {
		a.put(ppp.LCP, fsm.Packet{Code: fsm.ProtocolReject, Identifier: 77, Data: append([]byte{byte(proto >> 8), byte(proto)}, fsm.AppendPacket(nil, p)...)})
		return
	}
	var rejected []byte
	for list := p.Data; len(list) > 0; {
		o, rest, _ := fsm.NextOption(list)
		for _, r := range a.self.answers[proto] {
			if r.Code == fsm.ConfigureReject && bytes.Contains(r.Data, fsm.AppendOption(nil, o)) {
				rejected = fsm.AppendOption(rejected, o)
			}
		}
		list = rest
	}
	answer := fsm.Packet{Code: fsm.ConfigureAck, Identifier: p.Identifier, Data: p.Data}
	if rejected != nil {
		answer = fsm.Packet{Code: fsm.ConfigureReject, Identifier: p.Identifier, Data: rejected}
	}
	// A server gives the address that it gave then.
	if proto == ppp.IPCP && a.l.plan.cfg.Side == Client && bytes.Contains(p.Data, []byte{3, 6, 0, 0, 0, 0}) {
		answer = a.self.answers[proto][0]
		answer.Identifier = p.Identifier
	}
	a.put(proto, answer)
}

// compare holds our answer against the one recorded for the same request.
func (a *actor) compare(proto ppp.Protocol, p fsm.Packet) {
	for i, r := range a.self.requests[proto] {
		if r.Identifier != p.Identifier || i >= len(a.twin.answers[proto]) {
			continue
		}
		for _, was := range a.twin.answers[proto] {
			if was.Identifier != p.Identifier {
				continue
			}
			if was.Code == p.Code && bytes.Equal(was.Data, p.Data) {
				a.same++
				return
			}
			now := control(proto, p.Code, p.Identifier, p.Data...)
			then := control(proto, was.Code, was.Identifier, was.Data...)
			a.differ = append(a.differ, Describe(now)+" instead of "+Describe(then))
		}
	}
}

// improvise asks again as told, where the recorded party never had to.
func (a *actor) improvise(proto ppp.Protocol, p fsm.Packet) {
	var ask []byte
	for list := a.request[proto].Data; len(list) > 0; {
		o, rest, _ := fsm.NextOption(list)
		list = rest
		told := false
		for answers := p.Data; len(answers) > 0; {
			n, more, _ := fsm.NextOption(answers)
			answers = more
			if n.Type == o.Type {
				told = true
				if p.Code == fsm.ConfigureNak {
					ask = fsm.AppendOption(ask, n)
				}
			}
		}
		if !told {
			ask = fsm.AppendOption(ask, o)
		}
	}
	if proto == ppp.CCP && p.Code == fsm.ConfigureNak {
		ask = a.request[proto].Data // it was offering all it could
	}
	a.request[proto] = fsm.Packet{Code: fsm.ConfigureRequest, Identifier: a.request[proto].Identifier + 100, Data: ask}
	a.put(proto, a.request[proto])
}

// authenticate gives the recorded answer to an authentication packet of ours, under
// our identifier.
func (a *actor) authenticate(proto ppp.Protocol, p fsm.Packet) {
	a.responds = append(a.responds, fsm.Packet{Code: p.Code, Identifier: p.Identifier, Data: bytes.Clone(p.Data)})
	server := a.l.plan.cfg.Side == Server
	switch {
	case server && proto == ppp.CHAP && p.Code == 1, !server && proto == ppp.PAP, !server && p.Code == 2:
		own := a.self.others[proto]
		answer := own[0]
		if !server && proto == ppp.CHAP {
			answer = own[1]
		}
		answer.Identifier = p.Identifier
		a.put(proto, answer)
	case server && (p.Code == 3 || proto == ppp.PAP && p.Code == 2):
		// Accepted. pppd with MPPE begins IPCP only when CCP is open; the others
		// send everything at once.
		if a.send(ppp.CCP) && a.l.plan.cfg.Encryption != ccp.None {
			return
		}
		a.send(ppp.IPv6CP)
		a.send(ppp.IPCP)
	}
}

// index reads the list of recordings.
func index(t *testing.T) []capture.Recording {
	t.Helper()
	all, err := capture.Index("../../../test/captures")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var protocols = map[string]auth.Protocol{"PAP": auth.PAP, "CHAP-MD5": auth.CHAPMD5, "MS-CHAPv2": auth.MSCHAPv2}

// Our server with the clients that were recorded: pppd over PPTP and over serial lines,
// with all that they asked for.
func TestServerWithRecordedClients(t *testing.T) {
	ran := 0
	for _, r := range index(t) {
		protocol, ok := protocols[r.Auth]
		if !ok {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			ran++
			client, server := recording(t, r)
			cfg := recordedServer(r, protocol)
			a := newActor(t, cfg, client, server)
			verdict := func(at auth.Attempt) auth.Verdict {
				if at.User != r.User {
					t.Errorf("user %q, want %q", at.User, r.User)
				}
				if protocol == auth.PAP {
					return auth.Verify(at, auth.PlainSecret(r.Password))
				}
				// The response answers another challenge: the outcome is taken from the recording.
				v := auth.Verdict{Generation: at.Generation, OK: r.Accepted, HasKeys: protocol == auth.MSCHAPv2}
				if protocol == auth.MSCHAPv2 {
					v.AuthenticatorResponse = "S=407A5589115FD0D6209F510FE9C04566932CDA56"
				}
				return v
			}
			a.run(verdict)
			if a.send(ppp.IPCP) && cfg.Encryption == ccp.Required && a.ended == nil {
				a.run(verdict) // CCP is open now
			}
			checkRecordedServer(t, r, a)
		})
	}
	if ran < 15 {
		t.Errorf("only %d recordings", ran)
	}
}

func recordedServer(r capture.Recording, protocol auth.Protocol) Config {
	cfg := serverConfig(protocol)
	cfg.Encryption = ccp.None
	if strings.HasPrefix(r.Compression, "MPPE") {
		cfg.Encryption = ccp.Required
	}
	cfg.DNS = [2]netip.Addr{}
	if r.Serial() {
		cfg.Async, cfg.PeerAddress = true, netip.MustParseAddr("10.9.0.2")
	}
	return cfg
}

func checkRecordedServer(t *testing.T, r capture.Recording, a *actor) {
	switch {
	case !r.Accepted:
		if a.ended == nil || a.ended.Code != CodeAuthFailed || a.up != nil {
			t.Errorf("ended %v, up %v", a.ended, a.up)
		}
		return
	case strings.HasPrefix(r.Compression, "MPPE-40"), strings.HasPrefix(r.Compression, "MPPE-128 stateful"):
		if a.ended == nil || a.ended.Code != CodeEncryptionRefused || !strings.HasPrefix(a.ended.Text, "MPPE-128 stateless is required: peer insists on MPPE") {
			t.Errorf("ended %v, up %v", a.ended, a.up)
		}
		return
	}
	if a.up == nil || (a.up.Encryption != nil) != strings.HasPrefix(r.Compression, "MPPE") || a.up.PeerAddress != a.l.plan.cfg.PeerAddress {
		t.Fatalf("up %+v, ended %v, differs %v", a.up, a.ended, a.differ)
	}
	// What pppd answered differently it did for things that we have not.
	for _, d := range a.differ {
		if !strings.Contains(d, "IPCP Configure-Reject") || !strings.Contains(d, "compression 002d") {
			t.Error(d)
		}
	}
	if a.same == 0 || a.same < 2 && a.differ == nil {
		t.Errorf("only %d answers are as recorded, differing: %v", a.same, a.differ)
	}
	for _, p := range a.self.others[ppp.LCP] {
		if p.Code == fsm.TerminateRequest {
			a.put(ppp.LCP, p)
			a.run(nil)
			a.l.Tick(a.l.Deadline())
			a.run(nil)
			if want := (Reason{CodePeerTerminated, There, quoted(ppp.Text(p.Data))}); a.ended == nil || *a.ended != want {
				t.Errorf("ended %v, want %v", a.ended, want)
			}
			return
		}
	}
}

// Our client with the servers that were recorded: CHAP-MD5 and PAP to the octet, MS-CHAPv2
// up to the server's proof, which answers another challenge of the client's.
func TestClientWithRecordedServers(t *testing.T) {
	ran := 0
	for _, r := range index(t) {
		protocol, ok := protocols[r.Auth]
		if !ok || r.Given != "" && r.Given != r.Password && r.Accepted {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			ran++
			client, server := recording(t, r)
			given := r.Password
			if r.Given != "" {
				given = r.Given
			}
			cfg := Config{Side: Client, Seed: seed(3), MRU: 1400, PFC: true, ACFC: true, Authentication: []auth.Protocol{protocol}, Encryption: ccp.None,
				User: r.User, Secret: auth.PlainSecret(given), Async: r.Serial()}
			a := newActor(t, cfg, server, client)
			if protocol == auth.CHAPMD5 || protocol == auth.MSCHAPv2 {
				a.run(nil)
				a.put(ppp.CHAP, server.others[ppp.CHAP][0])
			}
			a.run(nil)
			checkRecordedClient(t, r, protocol, a, client)
		})
	}
	if ran < 15 {
		t.Errorf("only %d recordings", ran)
	}
}

func checkRecordedClient(t *testing.T, r capture.Recording, protocol auth.Protocol, a *actor, client *recorded) {
	if protocol == auth.MSCHAPv2 {
		by := Here
		if !r.Accepted {
			by = There
		}
		if a.ended == nil || a.ended.Code != CodeAuthFailed || a.ended.By != by {
			t.Errorf("ended %v", a.ended)
		}
		return
	}
	number := ppp.Protocol(protocol.Number())
	if got, want := a.responds[0], client.others[number][0]; got.Code != want.Code || !bytes.Equal(got.Data, want.Data) {
		t.Errorf("sent %+v, recorded %+v", got, want)
	}
	if !r.Accepted {
		if a.ended == nil || a.ended.Code != CodeAuthFailed || a.ended.By != There {
			t.Errorf("ended %v", a.ended)
		}
		return
	}
	a.send(ppp.CCP)
	a.send(ppp.IPCP)
	a.run(nil)
	if a.up == nil || a.up.Encryption != nil || a.up.PeerAddress != here || !a.up.LocalAddress.IsValid() {
		t.Errorf("up %+v, ended %v", a.up, a.ended)
	}
	fussy := r.Name == "serial-chap-md5-accm-differs" // its caller rejects PFC and ACFC
	for _, d := range a.differ {
		if !strings.Contains(d, "IPCP Configure-Reject") && !fussy {
			t.Error(d)
		}
	}
	if a.same == 0 && !fussy {
		t.Errorf("no answer is as recorded, differing: %v", a.differ)
	}
}
