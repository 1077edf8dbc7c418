package config

import (
	"time"

	"trunkline.example/modem/exchange/plan"
	"trunkline.example/shared/conf"
)

// raw is the document as it is written.
type raw struct {
	Dir         string          `toml:"dir"`
	Seed        string          `toml:"seed"`
	Busy        string          `toml:"busy"`
	NoAnswer    string          `toml:"no_answer"`
	Reorder     string          `toml:"reorder"`
	Latency     conf.Duration   `toml:"latency"`
	Training    rawTraining     `toml:"training"`
	Timing      rawTiming       `toml:"timing"`
	Lines       []rawLine       `toml:"line"`
	Hunts       []rawHunt       `toml:"hunt"`
	Impairments []rawImpairment `toml:"impairment"`
	Listeners   []rawListener   `toml:"listener"`
}

type rawTraining struct {
	Time     conf.Duration `toml:"time"`
	Spread   float64       `toml:"spread"`
	Failures float64       `toml:"failures"`
	Digital  conf.Duration `toml:"digital"`
}

type rawTiming struct {
	Setup      conf.Duration `toml:"setup"`
	RingEvery  conf.Duration `toml:"ring_every"`
	RingLimit  conf.Duration `toml:"ring_limit"`
	Intercept  conf.Duration `toml:"intercept"`
	NoDialTone conf.Duration `toml:"no_dial_tone"`
}

type rawLine struct {
	Name         string        `toml:"name"`
	Count        int           `toml:"count"`
	Number       string        `toml:"number"`
	Adapter      string        `toml:"adapter"`
	Numbers      []string      `toml:"numbers"`
	Subscriber   string        `toml:"subscriber"`
	Withhold     bool          `toml:"withhold"`
	CallWaiting  bool          `toml:"call_waiting"`
	Transmit     int           `toml:"transmit"`
	Receive      int           `toml:"receive"`
	ErrorControl bool          `toml:"error_control"`
	Latency      conf.Duration `toml:"latency"`
	Impairment   string        `toml:"impairment"`
	Strict       bool          `toml:"strict"`
	Terminal     bool          `toml:"terminal"`
	Socket       bool          `toml:"socket"`
	Carrier      string        `toml:"carrier"`
}

// SetDefaults implements conf.Defaulter.
func (l *rawLine) SetDefaults() {
	*l = rawLine{Adapter: "none", Transmit: defaultRate, Receive: defaultRate, ErrorControl: true, Impairment: "clean", Terminal: true, Socket: true, Carrier: "auto"}
}

type rawHunt struct {
	Number string   `toml:"number"`
	Lines  []string `toml:"lines"`
}

type rawListener struct {
	Address  string   `toml:"address"`
	Protocol string   `toml:"protocol"`
	Lines    []string `toml:"lines"`
	Dial     string   `toml:"dial"`
	Carrier  string   `toml:"carrier"`
	Origins  []string `toml:"origins"`
}

// SetDefaults implements conf.Defaulter.
func (l *rawListener) SetDefaults() { *l = rawListener{Protocol: "raw", Carrier: "auto"} }

type rawImpairment struct {
	Name             string        `toml:"name"`
	Transmit         int           `toml:"transmit"`
	Receive          int           `toml:"receive"`
	Latency          conf.Duration `toml:"latency"`
	ErrorControl     bool          `toml:"error_control"`
	Receives         rawDamage     `toml:"receives"`
	Sends            rawDamage     `toml:"sends"`
	RetrainEvery     conf.Duration `toml:"retrain_every"`
	RetrainTime      conf.Duration `toml:"retrain_time"`
	DropEvery        conf.Duration `toml:"drop_every"`
	ConnectNoise     int           `toml:"connect_noise"`
	TrainingFailures float64       `toml:"training_failures"`
}

// SetDefaults implements conf.Defaulter.
func (i *rawImpairment) SetDefaults() {
	*i = rawImpairment{ErrorControl: true, RetrainTime: duration(2 * time.Second)}
}

type rawDamage struct {
	BitErrorRate     float64 `toml:"bit_error_rate"`
	Burst            int     `toml:"burst"`
	DropRate         float64 `toml:"drop_rate"`
	FrameErrorRate   float64 `toml:"frame_error_rate"`
	FrameAbortRate   float64 `toml:"frame_abort_rate"`
	PassErrorControl bool    `toml:"pass_error_control"`
}

func duration(d time.Duration) conf.Duration { return conf.Duration{Duration: d} }

// defaults are the values of keys that a document leaves out.
func defaults() raw {
	t := plan.DefaultTiming
	return raw{
		Dir:      DefaultDir,
		Training: rawTraining{Time: duration(500 * time.Millisecond), Spread: 0.1, Digital: duration(300 * time.Millisecond)},
		Timing: rawTiming{Setup: duration(t.Setup), RingEvery: duration(t.RingEvery), RingLimit: duration(t.RingLimit),
			Intercept: duration(t.Intercept), NoDialTone: duration(t.NoDialTone)},
	}
}
