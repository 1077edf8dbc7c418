package pac

import (
	"errors"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"trunkline.example/pac/config"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/line"
	"trunkline.example/shared/pptp/control"
)

func TestReloadHoldsForTheNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		far, call := x.up()
		fresh := *x.server.config()
		fresh.Routes = []config.Route{{Called: "5550100", PNS: []string{"b", "unknown"}}}
		fresh.PNS = append(fresh.PNS, config.PNS{Name: "unknown"})
		fresh.Log.Format = "json"
		if waiting := x.server.Reload(fresh); !reflect.DeepEqual(waiting, []string{"pns", "log.format"}) {
			t.Errorf("waiting for a restart: %v", waiting)
		}
		synctest.Wait()
		if s := far.Status(); s.State != line.StateConnected {
			t.Errorf("the call in progress is %v", s.State)
		}
		x.must(far.HangUp(t.Context()))
		if ended := next[control.CallEnded](x.pns["a"]); ended.Call.Own() != call.Own() {
			t.Errorf("%+v", ended)
		}
		x.ring()
		next[control.IncomingConnected](x.pns["b"])
	})
}

// A section that has only moved within its file needs no restart.
func TestReloadOfAMovedSection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, func(c *config.Config) { c.Drivers[0].Section.Text = []byte("\n\n[[line]]\nname = \"a\"\n") })
		defer x.end()
		fresh := *x.server.config()
		fresh.Drivers = []config.Driver{fresh.Drivers[0]}
		fresh.Drivers[0].Section.Text = []byte("\n\n\n\n[[line]]\n\nname = \"a\"\n")
		if waiting := x.server.Reload(fresh); waiting != nil {
			t.Errorf("waiting for a restart: %v", waiting)
		}
		fresh.Drivers[0].Section.Text = []byte("[[line]]\nname = \"b\"\n")
		if waiting := x.server.Reload(fresh); !reflect.DeepEqual(waiting, []string{"driver"}) {
			t.Errorf("waiting for a restart: %v", waiting)
		}
	})
}

func TestAdminAPI(t *testing.T) {
	s, err := New(config.Config{Name: "pac.example", PNS: []config.PNS{{Name: "main"}}}, Options{Version: "7", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	a := admin.NewServer(admin.ServerOptions{Socket: socket})
	s.Endpoints(a)
	if err := a.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.Serve() }()
	defer func() {
		if err := errors.Join(a.Shutdown(t.Context()), <-served); err != nil {
			t.Error(err)
		}
	}()
	c := admin.NewClient("pac", socket)
	var status Status
	if err := c.Get(t.Context(), "/status", &status); err != nil || status.Name != "pac.example" || status.Version != "7" || len(status.PNS) != 1 || status.Runtime.Goroutines == 0 {
		t.Errorf("%+v, %v", status, err)
	}
	// Nothing is an empty list, not null.
	for _, path := range []string{"/lines", "/calls", "/drivers"} {
		var list []any
		if err := c.Get(t.Context(), path, &list); err != nil || list == nil || len(list) > 0 {
			t.Errorf("%s: %v, %v", path, list, err)
		}
	}
	for _, which := range []string{"", "nobody", strings.Repeat("x", 10000), "\x1b[2J"} {
		var refused *admin.Error
		if err := c.Post(t.Context(), "/hangup", HangupRequest{Call: which}, nil); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
			t.Errorf("hanging up %.10q: %v", which, err)
		}
	}
}
