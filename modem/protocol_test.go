package modem

import "testing"

// The number that was called chooses the protocol, however much of it the exchange tells; where that leaves several numbers, none of them does.
func TestProtocolForANumber(t *testing.T) {
	c := Config{Protocol: "ppp", Protocols: map[string]string{"123456": "x75", "993456": "v120", "77": "v110", "8877": "hdlc", "555": "x75", "6555": "x75"}}
	for called, want := range map[string]string{
		"": "ppp", "123456": "x75", "0123456": "x75", "993456": "v120", "23456": "x75", "3456": "ppp", "6": "ppp", "1": "ppp",
		"77": "v110", "877": "v110", "8877": "hdlc", "0177": "v110", "55": "x75", "555": "x75",
	} {
		for range 50 {
			if got := c.protocolFor(called); got != want {
				t.Errorf("called %q: %q, want %q", called, got, want)
				break
			}
		}
	}
}
