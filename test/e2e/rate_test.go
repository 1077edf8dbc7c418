package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// A real client is kept to the rate of its listener, and lives on; a user with a rate of his own has that one.
func TestRates(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, `
[policy]
rate_in = "32kbit/s"
`)
	users := filepath.Join(s.dir, "users.toml")
	data, err := os.ReadFile(users)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.dir, "users.toml", string(data)+"rate_in = \"0\"\n") // of the last user, bob
	s.pns.stop()
	s.start()
	const flood = `
dial ` + password + ` require-mppe-128
up
ping -q -c 60 -i 0.01 -W 2 -s 1300 ` + innerAddress + ` > /tmp/ping || :
cat /tmp/ping
received=$(sed -n 's/.* \([0-9]*\) received.*/\1/p' /tmp/ping)
`
	s.run(s.exchange(), flood+`
[ "$received" -ge 1 ]
[ "$received" -le 30 ]
pings `+innerAddress+` 64
down
`)
	if d := s.dropped(0); d < 30 {
		t.Errorf("%v packets of alice's were dropped", d)
	}
	s.run(s.exchange(), "user=bob\n"+flood+`
[ "$received" -ge 55 ]
down
`)
	if d := s.dropped(1); d != 0 {
		t.Errorf("%v packets of bob's were dropped", d)
	}
}

// dropped is what the n-th call record says of packets that were dropped.
func (s *site) dropped(n int) float64 {
	s.t.Helper()
	errors, _ := s.record(n)["errors"].(map[string]any)
	count, _ := errors["dropped"].(float64)
	return count
}
