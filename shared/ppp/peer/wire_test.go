package peer

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
)

var (
	epoch         = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	serverAddress = netip.MustParseAddr("10.9.0.1")
	clientAddress = netip.MustParseAddr("10.9.0.100")
)

// end is one of the two peers of a wire.
type end struct {
	cfg    Config
	p      *Peer
	events []link.Action
	other  []Action // everything but Send and Event
	lost   uint32   // frames lost on the way here since the last one that came
	sent   int      // data frames to be reported by Written
}

// wire joins a client and a server. Time is virtual; frames take delay to arrive.
type wire struct {
	t       testing.TB
	now     time.Time
	client  *end
	server  *end
	air     []parcel
	delay   time.Duration
	lose    func(data bool) bool                       // per frame; nil = never
	spoil   func(toServer, data bool, f []byte) []byte // nil = not
	hints   bool                                       // Receive is told of losses
	restore bool                                       // both ends are written out and read back after each step
	secret  auth.Secret
	rng     *rand.Rand
}

type parcel struct {
	at       time.Time
	toServer bool
	lost     bool
	frame    []byte
}

func clientConfig() Config {
	return Config{Link: link.Config{Side: link.Client, Seed: [32]byte{1}, MRU: 1400, Authentication: []auth.Protocol{auth.MSCHAPv2},
		User: "alice", Secret: auth.PlainSecret("Passw0rd"), Encryption: ccp.Required, PFC: true, ACFC: true}}
}

func serverConfig() Config {
	return Config{Link: link.Config{Side: link.Server, Seed: [32]byte{2}, Name: "pns", MRU: 1400, Authentication: []auth.Protocol{auth.MSCHAPv2},
		Encryption: ccp.Required, LocalAddress: serverAddress, PeerAddress: clientAddress, PFC: true, ACFC: true}}
}

func newWire(t testing.TB, client, server Config) *wire {
	t.Helper()
	s := rand.Uint64()
	w := &wire{t: t, now: epoch, delay: 20 * time.Millisecond, secret: auth.PlainSecret("Passw0rd"), rng: rand.New(rand.NewPCG(s, 1))}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", s)
		}
	})
	w.client = &end{cfg: client, p: New(w.now, client)}
	w.server = &end{cfg: server, p: New(w.now, server)}
	w.server.p.Up(w.now)
	w.client.p.Up(w.now)
	w.settle()
	return w
}

// settle performs all actions and, if wanted, replaces both ends.
func (w *wire) settle() {
	for _, e := range []*end{w.client, w.server} {
		w.perform(e)
	}
	if w.restore {
		for n, e := range []*end{w.client, w.server} {
			w.replace(e, n == 0)
		}
	}
}

func (w *wire) perform(e *end) {
	toServer := e == w.client
	for again := true; again; {
		again = false
		for _, a := range e.p.Actions() {
			again = true
			switch a := a.(type) {
			case Send:
				w.put(toServer, a)
				if a.Data && e.cfg.Window > 0 {
					e.sent++
				}
			case Event:
				e.events = append(e.events, a.Link)
				if ask, ok := a.Link.(link.Authenticate); ok {
					e.p.Authenticated(w.now, auth.Verify(ask.Attempt, w.secret))
				}
			default:
				e.other = append(e.other, a)
			}
		}
	}
}

func (w *wire) put(toServer bool, s Send) {
	k := parcel{at: w.now.Add(w.delay), toServer: toServer, frame: s.Frame}
	if w.lose != nil && w.lose(s.Data) {
		k.lost = true
	}
	if w.spoil != nil {
		k.frame = w.spoil(toServer, s.Data, k.frame)
	}
	w.air = append(w.air, k)
}

// replace writes an end out and goes on with what is read back.
func (w *wire) replace(e *end, asJSON bool) {
	w.t.Helper()
	before := e.p.State()
	var after State
	var b bytes.Buffer
	var err error
	if asJSON {
		if err = json.NewEncoder(&b).Encode(before); err == nil {
			err = json.NewDecoder(&b).Decode(&after)
		}
	} else if err = gob.NewEncoder(&b).Encode(before); err == nil {
		err = gob.NewDecoder(&b).Decode(&after)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if e.p, err = Restore(e.cfg, after); err != nil {
		w.t.Fatal(err)
	}
	if again := e.p.State(); asJSON && !reflect.DeepEqual(again.Probes, after.Probes) {
		w.t.Fatalf("%+v restored as %+v", after.Probes, again.Probes)
	}
}

// run lets time pass until nothing is due, or until the limit.
func (w *wire) run(limit time.Duration) {
	w.t.Helper()
	end := w.now.Add(limit)
	w.settle()
	for n := 0; ; n++ {
		if n > 200000 {
			w.t.Fatal("it does not come to rest")
		}
		next := end
		for _, p := range []*Peer{w.client.p, w.server.p} {
			if d := p.Deadline(); !d.IsZero() && d.Before(next) {
				next = d
			}
		}
		if len(w.air) > 0 && !w.air[0].at.After(next) {
			k := w.air[0]
			w.air = w.air[1:]
			if k.at.After(w.now) {
				w.now = k.at
			}
			w.arrive(k)
			w.settle()
			continue
		}
		if !next.Before(end) {
			w.now = end
			return
		}
		if next.After(w.now) {
			w.now = next
		}
		w.client.p.Tick(w.now)
		w.server.p.Tick(w.now)
		w.settle()
	}
}

func (w *wire) arrive(k parcel) {
	from, to := w.server, w.client
	if k.toServer {
		from, to = w.client, w.server
	}
	if from.sent > 0 {
		from.p.Written(w.now, from.sent)
		from.sent = 0
	}
	if k.lost {
		to.lost++
		return
	}
	var lost uint32
	if w.hints {
		lost = to.lost
	}
	to.lost = 0
	kept := bytes.Clone(k.frame)
	to.p.Receive(w.now, k.frame, lost)
	if !bytes.Equal(kept, k.frame) {
		w.t.Error("a frame that was received was written to")
	}
}

// up brings the network up at both ends.
func (w *wire) up() {
	w.t.Helper()
	w.run(10 * time.Second)
	for _, e := range []*end{w.client, w.server} {
		if _, ok := e.p.Network(); !ok {
			w.t.Fatalf("network is down: %v", e.events)
		}
	}
}

// done returns the end of a probe and takes it off the list.
func (e *end) done(t testing.TB, id uint16) Done {
	t.Helper()
	for _, a := range e.other {
		if d, ok := a.(Done); ok && d.Probe == id {
			return d
		}
	}
	t.Fatalf("probe %d is not over: %v", id, e.other)
	return Done{}
}

func start(t testing.TB, e *end, now time.Time, b Probe) uint16 {
	t.Helper()
	id, err := e.p.Start(now, b)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
