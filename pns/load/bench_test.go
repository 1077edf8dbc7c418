package load

import (
	"fmt"
	"testing"
	"time"

	"trunkline.example/shared/measure"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
)

// own makes a run and tells the processor seconds of the generator alone, from the first call to the end of the last: those of the
// null server's thread are taken off. What the kernel does for the other end when a packet is sent counts as the sender's.
func own(b *testing.B, s *null, cfg Config) (measure.Report, float64) {
	before, server := measure.CPUTime(), s.cpu.Load()
	r := run(b, cfg)
	return r, (measure.CPUTime() - before).Seconds() - float64(s.cpu.Load()-server)/1e9
}

// The generator's own ceiling: how many calls one core of it sets up and clears in a second.
func BenchmarkSetUp(b *testing.B) {
	for name, server := range map[string]nullConfig{"MS-CHAPv2, MPPE": secure, "PAP, clear": {authentication: []auth.Protocol{auth.PAP}, encryption: ccp.None, password: secret}} {
		for _, pac := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/as PAC %v", name, pac), func(b *testing.B) {
				s := startNull(b, "127.82.0.1", server)
				cfg := against(s, max(b.N, 1))
				cfg.AtOnce, cfg.Shards, cfg.AsPAC = 64, 1, pac
				r, own := own(b, s, cfg)
				if !r.OK() {
					b.Fatalf("%+v", r)
				}
				b.ReportMetric(r.SetUp.PerSecond, "calls/s")
				b.ReportMetric(own*1e6/float64(b.N), "own-us/call")
				b.ReportMetric(float64(b.N)/own, "calls/s-of-a-core")
			})
		}
	}
}

// How much traffic one core of it makes, both ways together, a few calls included.
func BenchmarkEcho(b *testing.B) {
	for name, server := range map[string]nullConfig{"MPPE": secure, "clear": {encryption: ccp.None}} {
		for _, size := range []int{64, 1400} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				s := startNull(b, "127.82.0.2", server)
				cfg := against(s, 16)
				cfg.Shards, cfg.Duration = 1, time.Second
				cfg.Traffic = Traffic{Shape: Echo, Size: size, Window: 16}
				var packets, cpu, mbps float64
				for b.Loop() {
					r, seconds := own(b, s, cfg)
					if !r.OK() || r.Traffic.Down.Lost > 0 {
						b.Fatalf("%+v", r.Traffic)
					}
					packets += float64(r.Traffic.Up.Sent + r.Traffic.Down.Received)
					cpu += seconds
					mbps = r.Traffic.Down.Mbps + r.Traffic.Up.Mbps
				}
				b.ReportMetric(cpu*1e6/packets, "own-us/packet")
				b.ReportMetric(packets/cpu*float64(size)*8/1e6, "Mbit/s-of-a-core")
				b.ReportMetric(mbps, "Mbit/s")
			})
		}
	}
}
