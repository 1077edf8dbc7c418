package office

import (
	"fmt"
	"math"
	"slices"
	"time"

	"trunkline.example/modem/exchange/circuit"
)

// Trouble is what a line does to its calls. The troubles of the two lines of a
// call add up. All of it is random, from Config.Seed.
type Trouble struct {
	Receives circuit.Impairment // damage to what the line's client receives
	Sends    circuit.Impairment // and to what it sends

	RetrainEvery time.Duration // mean time between retrains, during which nothing passes; zero: none
	RetrainTime  time.Duration // how long one takes; zero: 2 s
	DropEvery    time.Duration // mean time to the loss of the carrier; zero: never

	ConnectNoise     int     // up to so many random octets reach either side right after CONNECT, where there is no error control
	TrainingFailures float64 // probability that the modems find no carrier, besides Training.FailureRate
}

// mostNoise bounds ConnectNoise.
const mostNoise = 1 << 16

const defaultRetrainTime = 2 * time.Second

// check says what is wrong with a trouble.
func (t Trouble) check() error {
	for _, i := range []circuit.Impairment{t.Receives, t.Sends} {
		if err := checkImpairment(i); err != nil {
			return err
		}
	}
	switch {
	case t.RetrainEvery < 0 || t.RetrainTime < 0 || t.DropEvery < 0:
		return fmt.Errorf("trouble: times between retrains and losses of the carrier cannot be negative")
	case t.ConnectNoise < 0 || t.ConnectNoise > mostNoise:
		return fmt.Errorf("trouble: noise of %d octets is not between 0 and %d", t.ConnectNoise, mostNoise)
	case !(t.TrainingFailures >= 0 && t.TrainingFailures <= 1):
		return fmt.Errorf("trouble: a probability of failure of %v is not between 0 and 1", t.TrainingFailures)
	}
	return nil
}

// checkImpairment says what is wrong with an impairment.
func checkImpairment(i circuit.Impairment) error {
	for _, p := range []float64{i.BitErrorRate, i.DropRate, i.FrameErrorRate, i.FrameAbortRate} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("impairment %+v: rates are from 0 to 1", i)
		}
	}
	if i.Burst < 0 {
		return fmt.Errorf("impairment %+v: a burst cannot be negative", i)
	}
	return nil
}

// troubles returns what the two lines of a call do to it.
func (o *Office) troubles(c *call) [2]Trouble {
	return [2]Trouble{o.cfg.Lines[c.Caller].Trouble, o.cfg.Lines[c.Callee].Trouble}
}

// trainingFails draws whether the modems of a call find no carrier.
func (o *Office) trainingFails(c *call) bool {
	good := 1 - o.cfg.Training.FailureRate
	for _, t := range o.troubles(c) {
		good *= 1 - t.TrainingFailures
	}
	return o.float() >= good
}

// beginTrouble draws what will happen to a call that has just connected.
func (o *Office) beginTrouble(now time.Time, c *call) {
	t := o.troubles(c)
	c.RetrainAt = o.draw(now, t[0].RetrainEvery, t[1].RetrainEvery)
	c.LostAt = o.draw(now, t[0].DropEvery, t[1].DropEvery)
	most := t[0].ConnectNoise + t[1].ConnectNoise
	if c.Links[0].ErrorControl || most == 0 {
		return
	}
	for _, w := range c.circuits {
		w.Inject(now, circuit.Injection{Garbage: int(o.float() * float64(most+1))})
	}
}

// strike does to calls what is due.
func (o *Office) strike(now time.Time) {
	for _, c := range slices.Clone(o.calls) {
		if !c.LostAt.IsZero() && !c.LostAt.After(now) {
			c.LostAt, c.RetrainAt = time.Time{}, time.Time{}
			o.cut = true
			o.sw.Cut(now, c.Caller)
			o.settle(now)
			o.cut = false
			continue
		}
		if c.RetrainAt.IsZero() || c.RetrainAt.After(now) {
			continue
		}
		t := o.troubles(c)
		pause := max(t[0].RetrainTime, t[1].RetrainTime)
		if pause == 0 {
			pause = defaultRetrainTime
		}
		for _, w := range c.circuits {
			w.Inject(now, circuit.Injection{Pause: pause})
		}
		c.RetrainAt = o.draw(now.Add(pause), t[0].RetrainEvery, t[1].RetrainEvery)
	}
}

// clickTime is how long the tone of call waiting takes the line.
const clickTime = 440 * time.Millisecond

// click is the tone of call waiting in a line's call: what the line receives is
// held up, or, without error control, drowned.
func (o *Office) click(now time.Time, line int) {
	c := o.callOf[line]
	if c == nil || c.Up.IsZero() || c.Ending {
		return
	}
	i := c.toward(line)
	if noise := c.Configs[i]; !noise.ErrorControl && noise.Rate > 0 {
		c.circuits[i].Inject(now, circuit.Injection{Garbage: int(noise.Throughput() * clickTime.Seconds())})
		return
	}
	c.circuits[i].Inject(now, circuit.Injection{Pause: clickTime})
}

// draw returns when the next of the events comes that two lines have at such
// mean intervals, of which zero means never.
func (o *Office) draw(from time.Time, a, b time.Duration) time.Time {
	rate := 0.0
	for _, every := range []time.Duration{a, b} {
		if every > 0 {
			rate += 1 / float64(every)
		}
	}
	if rate == 0 {
		return time.Time{}
	}
	wait := -math.Log(1-o.float()) / rate
	return from.Add(time.Duration(min(wait, float64(1000*time.Hour))) + 1) // not at once, whatever is drawn
}
