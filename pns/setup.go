package pns

import (
	"crypto/rand"
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
	pptpfsm "trunkline.example/shared/pptp/fsm"
)

// seed is 32 octets of a cryptographic source.
func seed() (s [32]byte) {
	rand.Read(s[:]) // never fails: the program ends instead
	return s
}

// planKey names what sessions that can share a plan have in common.
type planKey struct {
	cfg    *config.Config
	policy *config.Policy
	mtu    uint16
	async  bool
}

// plansKept bounds the plans of a shard: there are few policies, and few speeds of lines with an MTU of their own.
const plansKept = 64

// sessionPlan is what a call's PPP session runs with. Calls of the same kind share it.
func (k *call) sessionPlan() *session.Plan {
	shard := k.conn.shard
	key := planKey{
		cfg: shard.server.cfg.Load(), policy: k.policy, mtu: uint16(lineMTU(k.lineSpeed(), k.policy.MTU)),
		// Behind a PAC there may be an asynchronous line, whose control characters are ours to negotiate.
		async: k.info.Role == pptpfsm.RolePNS && k.conn.ours == nil,
	}
	if k.visit != nil {
		cfg := key.sessionConfig()
		k.visit.configure(&cfg.Link)
		return session.NewPlan(cfg)
	}
	plan := shard.plans[key]
	if plan == nil {
		if len(shard.plans) >= plansKept || shard.plans == nil {
			shard.plans = make(map[planKey]*session.Plan)
		}
		plan = session.NewPlan(key.sessionConfig())
		shard.plans[key] = plan
	}
	return plan
}

func (k planKey) sessionConfig() session.Config {
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
