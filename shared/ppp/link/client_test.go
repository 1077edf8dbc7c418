package link

import (
	"net/netip"
	"testing"
	"time"

	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
)

// A client that wants proof of its server takes none that gives no proof, however much the server is content with it.
func TestMutualAuthentication(t *testing.T) {
	for _, c := range []struct {
		server, client []auth.Protocol
		want           Code
	}{
		{[]auth.Protocol{auth.MSCHAPv2}, []auth.Protocol{auth.MSCHAPv2}, CodeNone},
		{[]auth.Protocol{auth.MSCHAPv2, auth.PAP}, []auth.Protocol{auth.MSCHAPv2, auth.PAP}, CodeNone},
		{[]auth.Protocol{auth.PAP}, []auth.Protocol{auth.MSCHAPv2, auth.PAP}, CodeAuthRefused},
		{nil, []auth.Protocol{auth.MSCHAPv2}, CodeAuthRefused},
		{[]auth.Protocol{auth.MSCHAPv2}, []auth.Protocol{auth.PAP}, CodeConfiguration},
	} {
		server, client := serverConfig(c.server...), clientConfig(c.client...)
		server.Encryption, client.Encryption, client.Mutual = ccp.None, ccp.None, true
		s := newSim(t, server, client)
		s.start()
		if c.want == CodeNone {
			s.mustUp(10 * time.Second)
			if got := s.client.linkUps[0].Authentication; got != auth.MSCHAPv2 {
				t.Errorf("%v and %v: %v", c.server, c.client, got)
			}
			continue
		}
		s.run(2*time.Minute, func() bool { return s.client.ended != nil })
		if s.client.ended == nil || s.client.ups != 0 {
			t.Fatalf("%v and %v: no end, %d times up\n%s", c.server, c.client, s.client.ups, s.transcript())
		}
		if got := s.client.ended.Code; got != c.want && got != CodePeerTerminated { // the server may be first to give up
			t.Errorf("%v and %v: %v", c.server, c.client, s.client.ended)
		}
	}
}

func TestKeepAddress(t *testing.T) {
	for _, c := range []struct {
		own netip.Addr
		up  bool
	}{{there, true}, {netip.MustParseAddr("192.0.2.77"), false}} {
		client := clientConfig(auth.MSCHAPv2)
		client.LocalAddress, client.KeepAddress = c.own, true
		s := newSim(t, serverConfig(auth.MSCHAPv2), client)
		s.start()
		if c.up {
			s.mustUp(10 * time.Second)
			continue
		}
		s.run(time.Minute, s.bothEnded)
		if s.client.ended == nil || s.client.ended.Code != CodeNetworkFailed || s.client.ups != 0 {
			t.Errorf("%v: %v, %d times up", c.own, s.client.ended, s.client.ups)
		}
	}
}
