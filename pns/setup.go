package pns

import (
	"crypto/rand"
	"math"
	"net/netip"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"trunkline.example/pns/config"
	"trunkline.example/pns/session"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp/control"
	pptpfsm "trunkline.example/shared/pptp/fsm"
)

// seed is 32 octets of a cryptographic source.
func seed() (s [32]byte) {
	rand.Read(s[:]) // never fails: the program ends instead
	return s
}

// controlKey names what control connections that can share a plan have in common.
type controlKey struct {
	cfg        *config.Config
	originator bool
	trace      bool
}

// controlPlan is what the connection's machine runs with.
func (c *conn) controlPlan() *control.Plan {
	server := c.shard.server
	key := controlKey{server.cfg.Load(), c.ours != nil, server.log.Core().Enabled(zap.DebugLevel)}
	return planOf(&c.shard.controls, key, func() *control.Plan {
		return control.NewPlan(control.Config{
			Originator: key.originator,
			Approve:    true,
			Trace:      key.trace,
			Self:       server.identity(key.cfg),
			Timers:     controlTimers(key.cfg.Timers),
			Limits:     controlLimits(key.cfg.Limits),
		})
	})
}

// controlLimits are those of a connection.
func controlLimits(l config.Limits) control.Limits {
	return control.Limits{
		Calls:             orNone(l.CallsPerConnection),
		HalfOpen:          orNone(l.CallsPerConnection),
		MessagesPerSecond: orNone(l.MessagesPerSecond),
		Burst:             orNone(l.MessagesBurst),
	}
}

// trust lets a PAC that is configured send as much as it likes: when the power is back, a thousand lines may ring in the same second.
func (c *conn) trust(now time.Time, l config.Limits) {
	l.MessagesPerSecond, l.MessagesBurst = 0, 0
	c.machine.SetLimits(now, controlLimits(l))
}

// callIDs is where the Call IDs of the connection come from.
func (c *conn) callIDs() control.Allocator {
	return c.shard.server.callIDs.For(control.Pair{Ours: c.local.Addr(), Theirs: c.remote.Addr()})
}

// orNone is a limit of which 0 means that there is none.
func orNone(limit int) int {
	if limit == 0 {
		return math.MaxInt32
	}
	return limit
}

func controlTimers(t config.Timers) control.Timers {
	return control.Timers{Establish: t.Establish, Idle: t.Echo, EchoReply: t.EchoReply, Probe: t.Probe, Message: t.Message, Reply: t.Reply, Outgoing: t.Call}
}

// plansKept bounds the plans of a kind: there are few configurations in use, few policies, and few speeds of lines with an MTU of their own.
const plansKept = 64

// planOf is the plan of a key, made when it is asked for first.
func planOf[K comparable, P any](kept *map[K]P, key K, make func() P) P {
	plan, ok := (*kept)[key]
	if !ok {
		if len(*kept) >= plansKept || *kept == nil {
			*kept = map[K]P{}
		}
		plan = make()
		(*kept)[key] = plan
	}
	return plan
}

// sessionKey names what sessions that can share a plan have in common.
type sessionKey struct {
	cfg    *config.Config
	policy *config.Policy
	mtu    uint16
	async  bool
}

// sessionPlan is what a call's PPP session runs with. Calls of the same kind share it.
func (k *call) sessionPlan() *session.Plan {
	shard := k.conn.shard
	key := sessionKey{
		cfg: shard.server.cfg.Load(), policy: k.policy, mtu: uint16(lineMTU(k.lineSpeed(), k.policy.MTU)),
		// Behind a PAC there may be an asynchronous line, whose control characters are ours to negotiate.
		async: k.info.Role == pptpfsm.RolePNS && k.conn.ours == nil,
	}
	if k.visit != nil {
		cfg := key.sessionConfig()
		k.visit.configure(&cfg.Link)
		return session.NewPlan(cfg)
	}
	return planOf(&shard.plans, key, func() *session.Plan { return session.NewPlan(key.sessionConfig()) })
}

func (k sessionKey) sessionConfig() session.Config {
	cfg, p := k.cfg, k.policy
	return session.Config{
		SessionTime: p.SessionTime,
		IdleTime:    p.IdleTime,
		Link: link.Config{
			Side: link.Server, Name: cfg.Name,
			MRU: k.mtu, MTU: k.mtu, PFC: true, ACFC: true,
			Async:          k.async,
			Authentication: p.Authentication,
			Retries:        loginRetries,
			Encryption:     encryptionPolicy(p.Encryption),
			LocalAddress:   cfg.Pool.Server,
			DNS:            pair(p.DNS),
			WINS:           pair(p.WINS),
			Timers:         linkTimers(cfg.Timers),
		},
	}
}

// configure makes a link that of a client, which logs in at the site.
func (a *visit) configure(l *link.Config) {
	s := a.site.cfg
	l.Side, l.User, l.Secret, l.Mutual = link.Client, s.User, a.secret, s.Mutual
	l.LocalAddress, l.KeepAddress = s.Address, s.Address.IsValid()
	l.DNS, l.WINS = [2]netip.Addr{}, [2]netip.Addr{}
}

// loginRetries is how often a client may try another password on the same link.
const loginRetries = 2

func linkTimers(t config.Timers) link.Timers {
	return link.Timers{
		Negotiation:    fsm.Timers{Restart: t.Restart},
		Authentication: auth.Timers{Restart: t.Restart},
		Authenticate:   t.Authentication,
		Encryption:     t.Encryption,
		EchoInterval:   t.LCPEcho,
		EchoFailures:   t.LCPEchoFailures,
	}
}

func encryptionPolicy(e config.Encryption) ccp.Policy {
	switch e {
	case config.EncryptionPreferred:
		return ccp.Preferred
	case config.EncryptionNone:
		return ccp.None
	}
	return ccp.Required
}

func pair(a []netip.Addr) (p [2]netip.Addr) {
	copy(p[:], a)
	return p
}

// limitedLogger lets some lines a second of each text through.
func limitedLogger(l *zap.Logger, lines int) *zap.Logger {
	return l.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(c, time.Second, lines, 0)
	}))
}
