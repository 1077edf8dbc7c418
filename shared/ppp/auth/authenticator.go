package auth

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"trunkline.example/shared/ppp"
)

// Timers bounds how long either machine tries. Zero values mean the defaults.
type Timers struct {
	Restart     time.Duration // between retransmissions; 3 s
	MaxTransmit int           // of one packet; 10. Where the other side has to begin it gets Restart × MaxTransmit
	Retry       time.Duration // how long an Authenticator waits for a retry it allowed; 60 s
}

// filled is t with the defaults, which are those of pppd (3 s, 10 times).
func (t Timers) filled() Timers {
	if t.Restart <= 0 {
		t.Restart = 3 * time.Second
	}
	if t.MaxTransmit <= 0 {
		t.MaxTransmit = 10
	}
	if t.Retry <= 0 {
		t.Retry = time.Minute
	}
	return t
}

// patience is how long to wait for the other side to begin.
func (t Timers) patience() time.Duration { return t.Restart * time.Duration(t.MaxTransmit) }

// AuthenticatorConfig describes the side that asks.
type AuthenticatorConfig struct {
	Protocol    Protocol
	Name        string        // of this system, in CHAP Challenges; at most 255 octets
	Seed        [32]byte      // of the challenges, from a cryptographic source and never the same twice; not used for PAP
	Timers      Timers        //
	Retries     int           // attempts allowed after a refused one on the same link, PAP and MS-CHAPv2 only; 0 = none
	Rechallenge time.Duration // interval of re-challenges after success, CHAP only; 0 = never
}

// Authenticator asks the other side who it is and passes the answer on.
//
//	Idle --Start--> Waiting --Response--> Deciding --OK--> Done --Challenge--> Waiting
//	                   |                      |
//	                   |                      +--refused, may retry--> Retrying --Response--> Deciding
//	                   +--time is up--> Failed <--refused--+
//
// A Response or request that was answered before gets the same answer again, in
// any phase but Idle and Stopped.
type Authenticator struct {
	cfg     AuthenticatorConfig
	s       AuthenticatorState
	actions []Action
}

// AuthenticatorState is an Authenticator as plain data. It holds challenges and, for
// PAP, the password of the last request.
type AuthenticatorState struct {
	Phase         AuthenticatorPhase
	Random        ppp.Random // of challenges
	Identifier    byte       // of the Challenge; while Retrying, what the Response must have
	Challenge     []byte
	Transmissions int       // of the Challenge
	Due           time.Time // when Tick has something to do; zero = never
	Retries       int       // left
	Generation    uint64    // of the last Attempt
	Last          LastAnswer
	User          string // authenticated, once Authenticated is set
	Authenticated bool
	Counters      Counters
}

// LastAnswer is the last answer that led to an Attempt, and our reply to it.
type LastAnswer struct {
	Identifier byte
	User       string
	Password   string // PAP
	Response   []byte // CHAP
	Reply      []byte // the packet; nil until there is one
}

// Counters counts packets that were not acted upon.
type Counters struct {
	Malformed  uint64 // could not be read
	Unexpected uint64 // not due in this phase, or of another exchange
	Duplicates uint64 // seen before; answered as before
}

// AuthenticatorPhase is the state of an Authenticator.
type AuthenticatorPhase uint8

// The phases of an Authenticator.
const (
	AuthenticatorIdle     AuthenticatorPhase = iota
	AuthenticatorWaiting                     // for the peer's Response or request
	AuthenticatorDeciding                    // for the owner's Verdict
	AuthenticatorRetrying                    // for the peer's next try
	AuthenticatorDone                        // the peer is authenticated
	AuthenticatorFailed
	AuthenticatorStopped
	authenticatorPhases
)

// String names the phase.
func (p AuthenticatorPhase) String() string {
	names := [authenticatorPhases]string{"idle", "waiting", "deciding", "retrying", "done", "failed", "stopped"}
	if p < authenticatorPhases {
		return names[p]
	}
	return fmt.Sprintf("AuthenticatorPhase(%d)", uint8(p))
}

// NewAuthenticator makes an idle machine. Errors: ErrUnsupported, ErrFIPS, and
// ErrConfig for a name that is too long.
func NewAuthenticator(cfg AuthenticatorConfig) (*Authenticator, error) {
	if err := cfg.Protocol.Supported(); err != nil {
		return nil, err
	}
	if len(cfg.Name) > maxName {
		return nil, fmt.Errorf("%w: name of %d octets", ErrConfig, len(cfg.Name))
	}
	cfg.Timers = cfg.Timers.filled()
	a := &Authenticator{cfg: cfg}
	a.s.Random = ppp.NewRandom(cfg.Seed)
	a.s.Retries = max(cfg.Retries, 0)
	if cfg.Protocol == CHAPMD5 {
		a.s.Retries = 0
	}
	a.s.Identifier = byte(a.s.Random.Uint64()) // so that leftovers of an exchange before do not fit
	return a, nil
}

// RestoreAuthenticator goes on where State left off, under the same Config but for the seed, which is part of the state.
func RestoreAuthenticator(cfg AuthenticatorConfig, s AuthenticatorState) (*Authenticator, error) {
	a, err := NewAuthenticator(cfg)
	if err != nil {
		return nil, err
	}
	if s.Phase >= authenticatorPhases {
		return nil, fmt.Errorf("%w: state with phase %d", ErrConfig, s.Phase)
	}
	if s.Random.IsZero() {
		return nil, fmt.Errorf("%w: state without a random generator", ErrConfig)
	}
	a.s = s.clone()
	return a, nil
}

// State returns a deep copy of everything the machine knows. Actions must have been
// drained.
func (a *Authenticator) State() AuthenticatorState { return a.s.clone() }

func (s AuthenticatorState) clone() AuthenticatorState {
	s.Challenge = slices.Clone(s.Challenge)
	s.Last.Response = slices.Clone(s.Last.Response)
	s.Last.Reply = slices.Clone(s.Last.Reply)
	return s
}

// Phase is where the machine stands.
func (a *Authenticator) Phase() AuthenticatorPhase { return a.s.Phase }

// Counters returns the counts of packets that were not acted upon.
func (a *Authenticator) Counters() Counters { return a.s.Counters }

// Deadline is when Tick wants to be called next; zero is never.
func (a *Authenticator) Deadline() time.Time { return a.s.Due }

// Actions drains the effects in order.
func (a *Authenticator) Actions() []Action {
	out := a.actions
	a.actions = nil
	return out
}

func (a *Authenticator) do(act Action)   { a.actions = append(a.actions, act) }
func (a *Authenticator) send(p []byte)   { a.do(Send{Packet: p}) }
func (a *Authenticator) resend(p []byte) { a.do(Send{Packet: slices.Clone(p)}) }

// Start begins: PAP waits for a request, CHAP sends a Challenge. It does nothing
// unless the machine is idle.
func (a *Authenticator) Start(now time.Time) {
	if a.s.Phase != AuthenticatorIdle {
		return
	}
	if a.cfg.Protocol == PAP {
		a.s.Phase, a.s.Due = AuthenticatorWaiting, now.Add(a.cfg.Timers.patience())
		return
	}
	a.challenge(now)
}

// Challenge re-challenges an authenticated peer now (CHAP only; a no-op otherwise).
func (a *Authenticator) Challenge(now time.Time) {
	if a.s.Phase == AuthenticatorDone && a.cfg.Protocol != PAP {
		a.challenge(now)
	}
}

// challenge sends a new Challenge and waits for its Response.
func (a *Authenticator) challenge(now time.Time) {
	a.s.Identifier++
	a.s.Challenge = a.newChallenge()
	a.s.Transmissions = 0
	a.s.Phase = AuthenticatorWaiting
	a.transmit(now)
}

func (a *Authenticator) newChallenge() []byte {
	c := make([]byte, challengeLength)
	a.s.Random.Fill(c)
	return c
}

func (a *Authenticator) transmit(now time.Time) {
	a.s.Transmissions++
	a.s.Due = now.Add(a.cfg.Timers.Restart)
	a.send(packet{chapChallenge, a.s.Identifier, valueBody(a.s.Challenge, a.cfg.Name)}.append(nil))
}

// Stop ends the machine silently: the lower layer is down.
func (a *Authenticator) Stop(time.Time) {
	a.s.Phase, a.s.Due = AuthenticatorStopped, time.Time{}
}

// Tick lets timers that are due run; it does nothing when early.
func (a *Authenticator) Tick(now time.Time) {
	if a.s.Due.IsZero() || now.Before(a.s.Due) {
		return
	}
	switch {
	case a.s.Phase == AuthenticatorDone:
		a.Challenge(now)
	case a.s.Phase == AuthenticatorWaiting && a.cfg.Protocol != PAP && a.s.Transmissions < a.cfg.Timers.MaxTransmit:
		a.transmit(now)
	case a.s.Phase == AuthenticatorRetrying:
		a.fail(FailRefused, FailureAuthentication, "", "the peer was refused and did not try again")
	default:
		a.fail(FailTimeout, 0, "", fmt.Sprintf("the peer did not answer in %v", a.cfg.Protocol))
	}
}

func (a *Authenticator) fail(r FailReason, code FailureCode, message, text string) {
	a.s.Phase, a.s.Due = AuthenticatorFailed, time.Time{}
	a.do(Failed{Reason: r, User: a.s.Last.User, Code: code, Message: message, Text: text})
}

// Receive takes the information field of a packet of the protocol's number.
// Malformed and unexpected packets are counted and dropped. packet is not retained.
func (a *Authenticator) Receive(now time.Time, info []byte) {
	p, err := parsePacket(info, a.cfg.Protocol == PAP)
	if err != nil {
		a.s.Counters.Malformed++
		return
	}
	request := byte(chapResponse)
	if a.cfg.Protocol == PAP {
		request = papRequest
	}
	if p.code != request || a.s.Phase == AuthenticatorIdle || a.s.Phase == AuthenticatorStopped {
		a.s.Counters.Unexpected++
		return
	}
	last := LastAnswer{Identifier: p.identifier}
	if a.cfg.Protocol == PAP {
		last.User, last.Password, err = parsePAPRequest(p.body)
	} else {
		last.Response, last.User, err = parseValue(p.body)
		last.Response = slices.Clone(last.Response)
	}
	if err != nil {
		a.s.Counters.Malformed++
		return
	}
	if a.again(last) {
		return
	}
	a.attempt(last)
}

// again deals with answers that were dealt with before: they get the same reply,
// or wait for it with the first.
func (a *Authenticator) again(l LastAnswer) bool {
	if a.s.Phase == AuthenticatorDeciding {
		a.s.Counters.Duplicates++
		return true
	}
	old := &a.s.Last
	if old.Reply == nil {
		return false
	}
	if a.cfg.Protocol == PAP {
		// After the end every request gets the code that ended it, whatever it says
		// (RFC 1334 section 2.2.1); only while a retry is open may a request be new.
		if a.s.Phase == AuthenticatorRetrying && (l.User != old.User || l.Password != old.Password) {
			return false
		}
		old.Reply[1] = l.Identifier
	} else if l.Identifier != old.Identifier || l.User != old.User || !bytes.Equal(l.Response, old.Response) {
		return false
	}
	a.s.Counters.Duplicates++
	a.resend(old.Reply)
	return true
}

// attempt takes a new answer.
func (a *Authenticator) attempt(l LastAnswer) {
	due := a.s.Phase == AuthenticatorWaiting || a.s.Phase == AuthenticatorRetrying
	if a.cfg.Protocol != PAP {
		// The Response to a retry should have the next identifier; some peers keep that
		// of the Failure.
		due = due && (l.Identifier == a.s.Identifier || a.s.Phase == AuthenticatorRetrying && l.Identifier == a.s.Last.Identifier)
	}
	if !due {
		a.s.Counters.Unexpected++
		return
	}
	a.s.Last = l
	a.s.Generation++
	a.s.Phase, a.s.Due = AuthenticatorDeciding, time.Time{}
	if why := a.outOfTheQuestion(l); why != "" {
		a.refuse(Verdict{Reason: why}, false)
		return
	}
	at := Attempt{
		Generation: a.s.Generation, Protocol: a.cfg.Protocol, User: l.User, Identifier: l.Identifier,
		Challenge: slices.Clone(a.s.Challenge), Response: slices.Clone(l.Response),
	}
	if a.cfg.Protocol == PAP {
		at.Password = PlainSecret(l.Password)
	}
	a.do(Authenticate{at})
}

// outOfTheQuestion tells why an answer need not be asked about.
func (a *Authenticator) outOfTheQuestion(l LastAnswer) string {
	want := map[Protocol]int{CHAPMD5: md5Length, MSCHAPv2: responseLength}[a.cfg.Protocol]
	switch {
	case len(l.Response) != want:
		return fmt.Sprintf("the response has %d octets, want %d", len(l.Response), want)
	case a.s.Authenticated && l.User != a.s.User:
		return fmt.Sprintf("challenged again, the peer called itself %q instead of %q", l.User, a.s.User)
	}
	return ""
}

// Answer takes the verdict on an Attempt; one that is no longer wanted is ignored.
func (a *Authenticator) Answer(now time.Time, v Verdict) {
	if a.s.Phase != AuthenticatorDeciding || v.Generation != a.s.Generation {
		return
	}
	if !v.OK {
		retry := !a.s.Authenticated && a.s.Retries > 0 && (v.Code == FailureAuthentication || v.Code == 0)
		a.refuse(v, retry)
		if retry {
			a.s.Due = now.Add(a.cfg.Timers.Retry)
		}
		return
	}
	// Without its proof the peer would hang up with a message of its own (seen with RADIUS
	// servers that leave it out: Flexinets.Radius.Core issue 21).
	if a.cfg.Protocol == MSCHAPv2 && !validAuthenticatorResponse(v.AuthenticatorResponse) {
		a.refuse(Verdict{Reason: "accepted, but without the authenticator response that MS-CHAPv2 needs"}, false)
		return
	}
	a.accept(now, v)
}

func (a *Authenticator) accept(now time.Time, v Verdict) {
	message := v.Message
	if message == "" && a.cfg.Protocol != MSCHAPv2 {
		message = "Access granted"
	}
	switch a.cfg.Protocol {
	case PAP:
		a.reply(papAck, papReplyBody(message))
	case MSCHAPv2:
		text := v.AuthenticatorResponse
		// Windows 9x sets a flag in its Response and takes nothing but "S=" in the Success.
		if message != "" && a.s.Last.Response[responseLength-1] == 0 {
			text += " M=" + oneLine(message)
		}
		a.reply(chapSuccess, []byte(text))
	default:
		a.reply(chapSuccess, []byte(oneLine(message)))
	}
	a.s.Phase, a.s.Due = AuthenticatorDone, time.Time{}
	if a.cfg.Rechallenge > 0 && a.cfg.Protocol != PAP {
		a.s.Due = now.Add(a.cfg.Rechallenge)
	}
	s := Succeeded{Again: a.s.Authenticated, User: a.s.Last.User, Message: message, Verdict: v}
	if v.HasKeys && !s.Again {
		s.HasKeys, s.SendKey, s.ReceiveKey = true, v.SendKey, v.ReceiveKey
	}
	a.s.Authenticated, a.s.User = true, a.s.Last.User
	a.do(s)
}

// refuse sends the refusal. With retry the peer may try again; else it is the end.
func (a *Authenticator) refuse(v Verdict, retry bool) {
	code, message := v.Code, oneLine(v.Message)
	if code == 0 {
		code = FailureAuthentication
	}
	if message == "" {
		message = "Access denied"
	}
	switch a.cfg.Protocol {
	case PAP:
		a.reply(papNak, papReplyBody(message))
	case MSCHAPv2:
		next := a.newChallenge()
		f := Failure{Code: code, Retry: retry, Challenge: next, Version: 3, Message: message}
		a.reply(chapFailure, []byte(f.String()))
		a.s.Challenge, a.s.Identifier = next, a.s.Last.Identifier+1
	default:
		a.reply(chapFailure, []byte(message))
	}
	if retry {
		a.s.Retries--
		a.s.Phase = AuthenticatorRetrying
		return
	}
	if a.cfg.Protocol != MSCHAPv2 {
		code = 0
	}
	a.fail(FailRefused, code, message, v.Reason)
}

// reply answers the last answer, now and whenever it is repeated.
func (a *Authenticator) reply(code byte, body []byte) {
	a.s.Last.Reply = packet{code, a.s.Last.Identifier, body}.append(nil)
	a.resend(a.s.Last.Reply)
}

// oneLine makes a message fit for a packet: short, and without line ends.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), maxMessage)]
}

// validAuthenticatorResponse tells whether s is "S=" and 40 upper-case hex digits.
func validAuthenticatorResponse(s string) bool {
	digits, ok := strings.CutPrefix(s, "S=")
	return ok && len(digits) == 40 && strings.Trim(digits, "0123456789ABCDEF") == ""
}
