package pns

import (
	"context"
	"sort"
	"strconv"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pns/addrpool"
	"trunkline.example/pns/dataplane"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/record"
)

// SessionInfo is one session as the admin API shows it.
type SessionInfo struct {
	ID             uint64      `json:"id"`
	Kind           record.Kind `json:"kind"`
	Phase          string      `json:"phase"`
	User           string      `json:"user,omitempty"`
	Address        string      `json:"address,omitempty"` // leased
	Peer           string      `json:"peer"`
	PeerName       string      `json:"peer_name,omitempty"`
	PAC            string      `json:"pac,omitempty"`
	Site           string      `json:"site,omitempty"` // that was called
	Listener       string      `json:"listener"`
	Started        time.Time   `json:"started"`
	Connected      time.Time   `json:"connected,omitzero"`
	Authentication string      `json:"authentication,omitempty"`
	Encryption     string      `json:"encryption,omitempty"`
	MRU            uint16      `json:"mru,omitempty"`
	MTU            uint16      `json:"mtu,omitempty"`
	Behind         []string    `json:"behind,omitempty"` // networks that are routed to it
	PACCallID      uint16      `json:"pac_call_id"`
	PNSCallID      uint16      `json:"pns_call_id"`
	CallSerial     uint16      `json:"call_serial"`
	Dialed         string      `json:"dialed,omitempty"`
	Dialing        string      `json:"dialing,omitempty"`
	Bearer         string      `json:"bearer,omitempty"`  // "analog" or "digital"
	Framing        string      `json:"framing,omitempty"` // on the telephone line: "asynchronous" or "synchronous"
	Speed          uint32      `json:"speed,omitempty"`
	Shard          int         `json:"shard"`
	LineErrors     LineErrors  `json:"line_errors"` // as the PAC has reported them so far

	Data dataplane.Counters `json:"data"`
	Flow dataplane.Flow     `json:"flow"` // towards the peer
	Link LinkCounters       `json:"link"`
}

// LinkCounters are those of the PPP link that say something about a peer, in frames.
type LinkCounters struct {
	Sent              uint64  `json:"sent"`
	Received          uint64  `json:"received"`
	Malformed         uint64  `json:"malformed"`
	Unexpected        uint64  `json:"unexpected"`        // of a protocol that was not due
	UnknownProtocols  uint64  `json:"unknown_protocols"` // answered by Protocol-Reject
	ProtocolsRejected uint64  `json:"protocols_rejected"`
	Renegotiations    uint64  `json:"renegotiations"`
	EchoesSent        uint64  `json:"echoes_sent"`
	EchoesAnswered    uint64  `json:"echoes_answered"`
	EchoMillis        float64 `json:"echo_ms"` // round trip of the last echo
}

func linkCounters(c link.Counters) LinkCounters {
	return LinkCounters{
		Sent: c.Sent, Received: c.Received, Malformed: c.Malformed, Unexpected: c.Unexpected, UnknownProtocols: c.UnknownProtocols,
		ProtocolsRejected: c.ProtocolsRejected, Renegotiations: c.Renegotiations, EchoesSent: c.EchoesSent, EchoesAnswered: c.EchoReplies,
		EchoMillis: float64(c.EchoRoundTrip) / float64(time.Millisecond),
	}
}

// Status is the server as a whole.
type Status struct {
	Started     time.Time               `json:"started"`
	Runtime     admin.Runtime           `json:"runtime"`
	Listeners   map[string]string       `json:"listeners"` // address by name
	Draining    bool                    `json:"draining"`  // no new calls are taken
	Connections int                     `json:"connections"`
	Calls       int                     `json:"calls"`
	HalfOpen    int                     `json:"half_open"`
	Sources     int                     `json:"sources"`
	CallsEnded  uint64                  `json:"calls_ended"`
	Logins      LoginCounts             `json:"logins"`
	Refused     map[string]uint64       `json:"refused"` // connections and calls, by reason
	Faults      map[string]uint64       `json:"faults"`  // of peers, on control connections
	Banned      map[string]time.Time    `json:"banned"`  // end by IPv4 address or IPv6 prefix
	Inbox       uint64                  `json:"inbox_dropped"`
	RecordsLost uint64                  `json:"records_lost"`
	Pool        addrpool.Stats          `json:"pool"`
	Plane       dataplane.PlaneCounters `json:"plane"`
	Retired     dataplane.Counters      `json:"ended_calls"` // of calls that have ended
}

// LoginCounts count verdicts.
type LoginCounts struct {
	Accepted uint64 `json:"accepted"`
	Refused  uint64 `json:"refused"`
	Busy     uint64 `json:"busy"` // refused unseen, as too many waited
}

// Kick is the request to end sessions, and Kicked the answer.
type (
	Kick struct {
		Session uint64 `json:"session,omitempty"` // one session, or
		User    string `json:"user,omitempty"`    // all of a user
	}
	Kicked struct {
		Sessions []uint64 `json:"sessions"`
	}
)

// HangUp is the request to end the call to a site; it is the answer too.
type HangUp struct {
	Site string `json:"site"`
}

// Paths of the admin API.
const (
	PathSessions = "/sessions"
	PathStatus   = "/status"
	PathKick     = "/sessions/kick"
	PathLines    = "/lines"
	PathCall     = "/call"
	PathSites    = "/sites"
	PathHangUp   = "/sites/hangup"
)

// Endpoints adds the server's endpoints to an admin API.
func (s *Server) Endpoints(a *admin.Server) {
	a.Get(PathSessions, func(ctx context.Context, r *admin.Request) (any, error) { return s.Sessions(ctx) })
	a.Get(PathStatus, func(context.Context, *admin.Request) (any, error) { return s.Status(), nil })
	a.Get(PathLines, func(context.Context, *admin.Request) (any, error) { return s.Lines(), nil })
	a.Drained(s.Drain, func() admin.DrainState {
		o := s.admission.occupancy()
		return admin.DrainState{Draining: o.draining, Calls: o.calls}
	})
	a.Traced(s.traces, s.startTrace)
	a.Post(PathCall, func(ctx context.Context, r *admin.Request) (any, error) {
		var body CallRequest
		if err := r.Decode(&body); err != nil {
			return nil, err
		}
		return s.Call(ctx, body)
	})
	a.Get(PathSites, func(context.Context, *admin.Request) (any, error) { return s.Sites(), nil })
	a.Post(PathHangUp, func(_ context.Context, r *admin.Request) (any, error) {
		var body HangUp
		if err := r.Decode(&body); err != nil {
			return nil, err
		}
		return body, s.HangUp(body.Site)
	})
	a.Post(PathKick, func(ctx context.Context, r *admin.Request) (any, error) {
		var k Kick
		if err := r.Decode(&k); err != nil {
			return nil, err
		}
		if (k.Session == 0) == (k.User == "") {
			return nil, admin.Invalid("either a session or a user must be named")
		}
		ended, err := s.Kick(ctx, k)
		if err == nil && len(ended) == 0 {
			err = admin.NotFound("%s", noSuch(k))
		}
		return Kicked{Sessions: ended}, err
	})
}

func noSuch(k Kick) string {
	if k.User != "" {
		return "user " + strconv.Quote(k.User) + " has no session"
	}
	return "there is no session " + strconv.FormatUint(k.Session, 10)
}

// onShards runs f on every shard and collects what it returns.
func onShards[T any](ctx context.Context, s *Server, f func(*shard) []T) ([]T, error) {
	answers := make(chan []T, len(s.shards))
	asked := 0
	for _, shard := range s.shards {
		if shard.mail.post(func() { answers <- f(shard) }) {
			asked++
		}
	}
	var all []T
	for range asked {
		select {
		case some := <-answers:
			all = append(all, some...)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return all, nil
}

// Sessions lists all sessions by their number.
func (s *Server) Sessions(ctx context.Context) ([]SessionInfo, error) {
	all, err := onShards(ctx, s, func(shard *shard) []SessionInfo {
		var some []SessionInfo
		shard.each(func(c *conn) {
			for k := range c.calls.all() {
				some = append(some, k.describe())
			}
		})
		return some
	})
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	if all == nil && err == nil {
		all = []SessionInfo{}
	}
	return all, err
}

func (k *call) describe() SessionInfo {
	facts := k.session.Facts()
	_, counters := k.session.Counters()
	info := SessionInfo{
		ID: k.id, Kind: k.kind(), Phase: facts.Phase.String(), User: facts.User, Address: record.AddressText(facts.PeerAddress),
		Peer: k.conn.remote.String(), PeerName: k.conn.machine.Peer().HostName, Listener: k.conn.listener,
		Started: k.started, Connected: facts.NetworkUp, Encryption: encryptionName(facts.KeyBits), MRU: facts.MRU, MTU: facts.MTU,
		PACCallID: k.info.PACCallID, PNSCallID: k.info.PNSCallID, CallSerial: k.info.CallSerialNumber,
		Dialed: k.info.DialedNumber, Dialing: k.info.DialingNumber, Bearer: k.bearer(), Framing: k.framing(), Speed: k.info.ConnectSpeed, Shard: k.conn.shard.index,
		LineErrors: lineErrors(k.wanErrors), Data: k.entry.Counters(), Flow: k.entry.Flow(), Link: linkCounters(counters),
	}
	for _, p := range k.entry.Behind() {
		info.Behind = append(info.Behind, p.String())
	}
	if facts.Up {
		info.Phase = "up"
	}
	if facts.Authentication != 0 {
		info.Authentication = facts.Authentication.String()
	}
	if k.conn.pac != nil {
		info.PAC = k.conn.pac.Name
	}
	if k.visit != nil {
		info.Site = k.visit.site.cfg.Name
	}
	return info
}

// Kick ends one session, or all of a user, orderly, and returns their numbers.
func (s *Server) Kick(ctx context.Context, which Kick) ([]uint64, error) {
	return onShards(ctx, s, func(shard *shard) []uint64 {
		var victims []*call
		shard.each(func(c *conn) {
			for k := range c.calls.all() {
				if k.id == which.Session || which.User != "" && k.session.Facts().User == which.User {
					victims = append(victims, k)
				}
			}
		})
		var ids []uint64
		for _, k := range victims {
			ids = append(ids, k.id)
			k.operator = true
			k.close(shard.now, link.Reason{Code: link.CodeAdministrative, By: link.Here, Text: "ended by the operator"})
		}
		return ids
	})
}

// Drain has the server take no new calls, or take them again; those in progress go on.
func (s *Server) Drain(draining bool) {
	s.admission.drain(draining)
	s.log.Info("drain", zap.Bool("draining", draining))
}

// Status describes the server as a whole.
func (s *Server) Status() Status {
	o := s.admission.occupancy()
	st := Status{
		Started: s.started, Runtime: admin.ReadRuntime(s.started), Listeners: map[string]string{}, Draining: o.draining, Connections: o.connections, Calls: o.calls, HalfOpen: o.halfOpen, Sources: o.sources,
		CallsEnded: s.callsEnded.Load(), RecordsLost: s.recordsLost.Load(), Pool: s.pool.Stats(time.Now()), Plane: s.plane.Counters(),
		Logins:  LoginCounts{Accepted: s.desk.accepted.Load(), Refused: s.desk.rejected.Load(), Busy: s.desk.refusedBusy.Load()},
		Refused: s.admission.refusedCounts(), Faults: s.faults.Counts(), Banned: map[string]time.Time{},
	}
	for _, l := range s.listeners {
		st.Listeners[l.name] = l.address.String()
	}
	for addr, end := range s.bans.list(time.Now()) {
		st.Banned[sourceText(addr)] = end
	}
	for _, shard := range s.shards {
		st.Inbox += shard.mail.dropped.Load()
	}
	s.mu.Lock()
	st.Retired = s.retired
	s.mu.Unlock()
	return st
}
