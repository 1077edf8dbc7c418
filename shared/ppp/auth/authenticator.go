package auth

import "time"

// Timers bounds how long either machine tries. Zero values mean the defaults.
type Timers struct {
	Restart     time.Duration // between retransmissions; 3 s
	MaxTransmit int           // of one packet; 10
	Retry       time.Duration // how long an Authenticator waits for a retry it allowed; 60 s
}

// AuthenticatorConfig describes the side that asks.
type AuthenticatorConfig struct {
	Protocol    Protocol
	Name        string        // of this system, in CHAP Challenges
	Seed        [32]byte      // of the challenges, from a cryptographic source; not used for PAP
	Timers      Timers        //
	Retries     int           // attempts allowed after a refused one, on the same link; 0 = none
	Rechallenge time.Duration // interval of re-challenges after success, CHAP only; 0 = never
}

// Authenticator asks the other side who it is and passes the answer on.
//
//	idle --Start--> waiting --Response--> verdict --OK--> done
//	                   ^                     |            | Rechallenge
//	                   +---- a retry is allowed     +----> waiting ...
//	                                         |
//	                                         +--refused--> failed
type Authenticator struct {
	cfg     AuthenticatorConfig
	s       AuthenticatorState
	actions []Action
}

// AuthenticatorState is an Authenticator as plain data. It holds challenges and, while
// a PAP verdict is pending, a password.
type AuthenticatorState struct {
	Phase AuthenticatorPhase
}

// AuthenticatorPhase is the state of an Authenticator.
type AuthenticatorPhase uint8

// NewAuthenticator makes an idle machine. Errors: ErrUnsupported, ErrFIPS.
func NewAuthenticator(cfg AuthenticatorConfig) (*Authenticator, error) {
	return &Authenticator{cfg: cfg}, nil
}

// RestoreAuthenticator goes on where State left off, under the same Config.
func RestoreAuthenticator(cfg AuthenticatorConfig, s AuthenticatorState) (*Authenticator, error) {
	return &Authenticator{cfg: cfg, s: s}, nil
}

// State returns a deep copy of everything the machine knows.
func (a *Authenticator) State() AuthenticatorState { return a.s }

// Start begins: PAP waits for a request, CHAP sends a Challenge.
func (a *Authenticator) Start(now time.Time) {}

// Receive takes the information field of a packet of the protocol's number.
// Malformed and unexpected packets are counted and dropped. packet is not retained.
func (a *Authenticator) Receive(now time.Time, packet []byte) {}

// Answer takes the verdict on an Attempt; one that is no longer wanted is ignored.
func (a *Authenticator) Answer(now time.Time, v Verdict) {}

// Challenge re-challenges an authenticated peer now (CHAP only; a no-op otherwise).
func (a *Authenticator) Challenge(now time.Time) {}

// Stop ends the machine silently: the lower layer is down.
func (a *Authenticator) Stop(now time.Time) {}

// Tick lets timers that are due run; it does nothing when early.
func (a *Authenticator) Tick(now time.Time) {}

// Deadline is when Tick wants to be called next; zero is never.
func (a *Authenticator) Deadline() time.Time { return time.Time{} }

// Actions drains the effects in order.
func (a *Authenticator) Actions() []Action {
	out := a.actions
	a.actions = nil
	return out
}
