package measure

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Report is what a run has found. Octets and rates are those of the IP packets inside the calls.
type Report struct {
	Server      string    `json:"server"`         // who was called: an address with its port, or a telephone number
	Seed        uint64    `json:"seed,omitempty"` // of what was random, where it can be chosen
	Sessions    int       `json:"sessions"`       // asked for
	Started     int       `json:"started"`        // of these
	Up          int       `json:"up"`             // that have been
	Failed      int       `json:"failed"`         // those that come and go included
	Failures    []Failure `json:"failures,omitempty"`
	Dropped     int       `json:"dropped"` // ended after they were up, and not by us; those that come and go included
	Drops       []Failure `json:"drops,omitempty"`
	Interrupted bool      `json:"interrupted"`
	SetUp       SetUp     `json:"set_up"`
	Flood       *Carried  `json:"flood,omitempty"` // before the traffic
	Traffic     *Carried  `json:"traffic,omitempty"`
}

// Failure is one reason, with the words of one case.
type Failure struct {
	Reason  string `json:"reason"`
	Count   int    `json:"count"`
	Example string `json:"example,omitempty"`
}

// SetUp is how calls were set up. A call's time runs from its beginning (the TCP connect, as a PAC Incoming-Call-Request, on a telephone line
// the dialing) until IPCP is open and encryption agreed on.
type SetUp struct {
	Seconds        float64  `json:"seconds"` // from the first call's beginning until the last was up or had failed
	PerSecond      float64  `json:"calls_per_second"`
	Part           int      `json:"part,omitempty"` // how many calls the first and the last are: a tenth, at most a thousand
	FirstPerSecond float64  `json:"first_calls_per_second,omitempty"`
	LastPerSecond  float64  `json:"last_calls_per_second,omitempty"`
	CPUSeconds     float64  `json:"own_cpu_seconds"`
	Latency        Latency  `json:"latency"`
	Connect        *Latency `json:"connect,omitempty"` // of it, on a telephone line: until CONNECT
	Network        *Latency `json:"network,omitempty"` // and from CONNECT until IPCP is open
}

// Carried is what went through the calls.
type Carried struct {
	Shape      string   `json:"shape"`
	Seconds    float64  `json:"seconds"`
	CPUSeconds float64  `json:"own_cpu_seconds"`
	Up         Way      `json:"up"`
	Down       Way      `json:"down"`
	RoundTrip  *Latency `json:"round_trip,omitempty"` // of echo requests
	ComeAndGo  *Come    `json:"come_and_go,omitempty"`
	Unsent     uint64   `json:"unsent"` // packets that this host's network did not take, in all of the run
}

// Come is what calls that come and go beside those that are held have done.
type Come struct {
	Seed      uint64  `json:"seed"`
	Started   int     `json:"started"`
	Up        int     `json:"up"` // that have been
	Cut       int     `json:"cut"`
	PerSecond float64 `json:"calls_per_second"` // that came up
	Latency   Latency `json:"latency"`          // of their set-up
}

// Add sums up what was counted.
func (c *Come) Add(o Come) { c.Started, c.Up, c.Cut = c.Started+o.Started, c.Up+o.Up, c.Cut+o.Cut }

// OK tells whether all calls came up and stayed.
func (r *Report) OK() bool { return r.Failed == 0 && r.Dropped == 0 }

// Progress is how far a run is.
type Progress struct {
	Phase                        string
	Elapsed                      time.Duration
	Sessions, Started, Up, Ended int
	Failed, Dropped              int
	Come, Gone                   int    // beside the sessions
	Sent, Received               uint64 // packets
	SentOctets, ReceivedOctets   uint64
}

// ProgressEvery is how often a run tells how far it is.
const ProgressEvery = time.Second

// maxReasons bounds the different reasons that are told apart: a server may invent texts.
const (
	maxReasons  = 32
	otherReason = "other"
)

// Failures counts reasons. It must have been made.
type Failures map[string]*Failure

// Note counts a reason so many times; the example of its first case is kept.
func (f Failures) Note(reason, example string, count int) {
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

// Sorted are the reasons, the most frequent first.
func (f Failures) Sorted() (all []Failure) {
	for _, x := range slices.SortedFunc(maps.Values(f), func(a, b *Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	}) {
		all = append(all, *x)
	}
	return all
}

const (
	// tenths is of how many calls, for each that is set up at one time, the first and the last tenth are told: of fewer they say nothing.
	tenths = 20
	// mostPart is how many calls such a tenth is at most.
	mostPart = 1000
)

// Rates tells calls per second, of all and of the first and the last of many, from when each was up since the run began, in any order; atOnce
// are set up at one time.
func (u *SetUp) Rates(ups []time.Duration, atOnce int) {
	if len(ups) == 0 {
		return
	}
	slices.Sort(ups)
	last := len(ups) - 1
	u.Seconds = ups[last].Seconds()
	u.PerSecond = float64(len(ups)) / u.Seconds
	if part := min(len(ups)/10, mostPart); len(ups) >= tenths*atOnce && part > 0 && ups[last] > ups[last-part] {
		u.Part = part
		u.FirstPerSecond = float64(part) / ups[part-1].Seconds()
		u.LastPerSecond = float64(part) / (ups[last] - ups[last-part]).Seconds()
	}
}

// CPUTime is the processor time of this process so far.
func CPUTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
