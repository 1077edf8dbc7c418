package e2e

import "testing"

// A real client is kept to the rate of its listener, and lives on; a user with a rate of his own has that one.
func TestRates(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, `
[policy]
rate_in = "32kbit/s"
`)
	s.replaceUser("bob", "--rate-in=0")
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
sleep 1 # what went ahead of the rate takes half of it at most
pings `+innerAddress+` 64
down
`)
	if d := s.errors(0, "dropped"); d < 30 {
		t.Errorf("%v packets of alice's were dropped", d)
	}
	s.run(s.exchange(), "user=bob\n"+flood+`
[ "$received" -ge 55 ]
down
`)
	if d := s.errors(1, "dropped"); d != 0 {
		t.Errorf("%v packets of bob's were dropped", d)
	}
}

// A real client reaches what its filter lets through, and nothing else; a user who is freed from the filter reaches all.
func TestFilter(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, `
[policy]
filter = "web"
[[filter]]
name = "web"
rules = ["accept tcp host `+innerAddress+` port 7001", "accept icmp"]
`)
	s.replaceUser("bob", "--filter=")
	data := bulkData()
	serveBulk(t, s.space.Listen(innerAddress+":7001"), s.space.Listen(innerAddress+":7002"), data)
	x := s.exchange()
	writeBulk(t, x, data)
	s.run(x, `
dial `+password+` require-mppe-128
up
pings `+innerAddress+` 64 1400
socat -t 60 OPEN:/xchg/data,rdonly!!CREATE:/tmp/answer TCP:`+innerAddress+`:7001
cmp /tmp/answer /xchg/sum
! socat -u TCP:`+innerAddress+`:7002,connect-timeout=4 CREATE:/tmp/got
down
`)
	if n := s.errors(0, "filtered"); n == 0 {
		t.Error("no packet of alice's was filtered")
	}
	s.run(x, "user=bob\n"+`
dial `+password+` require-mppe-128
up
bulk `+innerAddress+`
down
`)
	if n := s.errors(1, "filtered"); n != 0 {
		t.Errorf("%v packets of bob's were filtered", n)
	}
}

// replaceUser changes a user for a pns that starts anew.
func (s *site) replaceUser(name string, flags ...string) {
	s.t.Helper()
	s.pns.Stop()
	s.addUser(name, append(flags, "--replace")...)
	s.start()
}

// errors is a count of those in the n-th call record.
func (s *site) errors(n int, name string) float64 {
	s.t.Helper()
	errors, _ := s.record(n)["errors"].(map[string]any)
	count, _ := errors[name].(float64)
	return count
}
