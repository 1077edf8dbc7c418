package pns

import (
	"net/netip"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"trunkline.example/shared/logging"
)

// The fields of a call's lines are put together without memory of their own, and those that nobody reads not at all.
func TestLinesOfACall(t *testing.T) {
	core, seen := observer.New(zapcore.InfoLevel)
	s := &shard{server: &Server{log: zap.New(core)}}
	k := &call{id: 7, own: 5, conn: &conn{shard: s, id: 3, remote: netip.MustParseAddrPort("198.51.100.7:1024")}}
	for range 2 {
		f := append(k.fields(), zap.String(logging.KeyUser, "alice"))
		k.log().Info("logged in", f...)
		k.log().Info("control connection", k.conn.fields()...)
	}
	lines := seen.All()
	if len(lines) != 4 || len(lines[2].ContextMap()) != 6 || lines[0].ContextMap()[logging.KeyUser] != "alice" || lines[3].ContextMap()[logging.KeyPeer] != "198.51.100.7:1024" {
		t.Errorf("%+v", lines)
	}
	if n := testing.AllocsPerRun(100, func() { k.fields() }); n > 1 { // the address becomes an interface
		t.Errorf("%v allocations for the fields of a line", n)
	}
}
