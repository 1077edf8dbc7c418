package load

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Report is what a run has found. Octets and rates are those of the IP packets inside the tunnels.
type Report struct {
	Server      string    `json:"server"`
	Sessions    int       `json:"sessions"` // asked for
	Started     int       `json:"started"`
	Up          int       `json:"up"` // that have been
	Failed      int       `json:"failed"`
	Failures    []Failure `json:"failures,omitempty"`
	Dropped     int       `json:"dropped"` // ended after they were up, and not by us
	Drops       []Failure `json:"drops,omitempty"`
	Interrupted bool      `json:"interrupted"`
	SetUp       SetUp     `json:"set_up"`
	Traffic     *Carried  `json:"traffic,omitempty"`
}

// Failure is one reason, with the words of one case.
type Failure struct {
	Reason  string `json:"reason"`
	Count   int    `json:"count"`
	Example string `json:"example,omitempty"`
}

// SetUp is how calls were set up. A call's time runs from the TCP connect, or as a PAC from Incoming-Call-Request, until IPCP is
// open and encryption agreed on.
type SetUp struct {
	Seconds        float64 `json:"seconds"` // from the first call's beginning until the last was up or had failed
	PerSecond      float64 `json:"calls_per_second"`
	FirstPerSecond float64 `json:"first_tenth_calls_per_second,omitempty"`
	LastPerSecond  float64 `json:"last_tenth_calls_per_second,omitempty"`
	CPUSeconds     float64 `json:"own_cpu_seconds"`
	Latency        Latency `json:"latency"`
}

// Carried is what went through the tunnels.
type Carried struct {
	Shape      string   `json:"shape"`
	Seconds    float64  `json:"seconds"`
	CPUSeconds float64  `json:"own_cpu_seconds"`
	Up         Way      `json:"up"`
	Down       Way      `json:"down"`
	RoundTrip  *Latency `json:"round_trip,omitempty"` // Echo
	Unsent     uint64   `json:"unsent"`               // GRE packets that this host's network did not take
}

// Way is one direction of the traffic.
type Way struct {
	Sent             uint64  `json:"sent"`     // packets, where that is known
	Received         uint64  `json:"received"` // packets that are known to have arrived
	Lost             uint64  `json:"lost"`
	LostShare        float64 `json:"lost_share"`
	Damaged          uint64  `json:"damaged,omitempty"`
	PacketsPerSecond float64 `json:"packets_per_second"` // received
	Mbps             float64 `json:"mbit_per_second"`    // received
	Jitter           float64 `json:"jitter_ms"`          // mean difference between the delays of two packets in a row
}

// OK tells whether all calls came up and stayed.
func (r *Report) OK() bool { return r.Failed == 0 && r.Dropped == 0 }

// Progress is how far a run is.
type Progress struct {
	Phase                        string
	Elapsed                      time.Duration
	Sessions, Started, Up, Ended int
	Failed, Dropped              int
	Sent, Received               uint64 // packets
	SentOctets, ReceivedOctets   uint64
}

// tally is what a shard counts and others look at while it runs.
type tally struct {
	started, up, ended, failed, dropped atomic.Int64
	sent, received                      atomic.Uint64 // packets of the traffic
	sentOctets, receivedOctets          atomic.Uint64
	under                               atomic.Int64 // packets sent and not yet answered or given up
	drained                             atomic.Bool  // the shard knows that the traffic is over
}

// maxReasons bounds the different reasons that are told apart: a server may invent texts.
const (
	maxReasons  = 32
	otherReason = "other"
)

// failures counts reasons.
type failures map[string]*Failure

func (f failures) note(reason, example string, count int) {
	if f[reason] == nil {
		if len(f) >= maxReasons {
			reason = otherReason
		}
		if f[reason] == nil {
			f[reason] = &Failure{Reason: reason, Example: example}
		}
	}
	f[reason].Count += count
}

func (f failures) sorted() (all []Failure) {
	for _, x := range slices.SortedFunc(maps.Values(f), func(a, b *Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	}) {
		all = append(all, *x)
	}
	return all
}

// cpuTime is the processor time of this process so far.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
