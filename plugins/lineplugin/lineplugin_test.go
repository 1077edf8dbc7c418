package lineplugin

import (
	"os"
	"reflect"
	"testing"

	"go.uber.org/zap/zaptest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// behind puts a driver behind gRPC for the length of a test.
func behind(t *testing.T, driver line.Driver) *Boundary {
	t.Helper()
	b, err := InProcess(driver)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func dialPlain(socket string) (*grpc.ClientConn, error) {
	return grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func TestConformanceBehindGRPC(t *testing.T) {
	linetest.Run(t, func(t *testing.T) linetest.Fixture {
		fake := linetest.NewFake(line.Identity{Name: "one"})
		return linetest.Fixture{Driver: behind(t, fake), Far: fake.Lines()[0]}
	})
}

func TestHostOfAnotherVersionIsRefused(t *testing.T) {
	i := behind(t, linetest.NewFake(line.Identity{}))
	if i.Info().Contract != line.ContractVersion || i.Info().Name != "fake" {
		t.Errorf("info %+v", i.Info())
	}
}

// The fake's far end stays in the child, so over a process boundary only what needs none can be shown; the modem driver's child is
// tested with a real far end in plugins/builtin.
func TestProcessIsStartedAndEnds(t *testing.T) {
	command, err := Self("fake", "serve-fake")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Load(t.Context(), command, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := d.Open(t.Context(), line.Section{Name: "fake"})
	if err != nil {
		t.Fatal(err)
	}
	events := lines[0].Events()
	if e := <-events; e.Body.Kind() != line.KindUp {
		t.Fatalf("first event %v", e.Body.Kind())
	}
	process, err := os.FindProcess(d.Status().PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	down, ok := (<-events).Body.(line.Down)
	if !ok || down.Cause.Code != line.CauseDriver {
		t.Fatalf("after the driver's death: %+v", down)
	}
	if e := <-events; e.Body.Kind() != line.KindUp {
		t.Fatalf("after its restart: %v", e.Body.Kind())
	}
	if s := d.Status(); s.Restarts != 1 || s.PID == 0 {
		t.Errorf("status %+v", s)
	}
	if err := lines[0].Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if e := <-events; e.Body.Kind() != line.KindDown {
		t.Errorf("at the end: %v", e.Body.Kind())
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestIdentityIsCarriedWhole(t *testing.T) {
	id := line.Identity{
		Name: "one", Device: "/dev/ttyUSB0", PhysicalChannel: 7, Number: "5550101", Bearers: line.BearerDigital, Framings: line.FramingSync,
		MinimumBPS: 300, MaximumBPS: 128000,
	}
	if got := identityFromPB(identityToPB(id)); got != id {
		t.Errorf("%+v, want %+v", got, id)
	}
	if v := reflect.ValueOf(id); v.NumField() != 8 {
		t.Errorf("line.Identity has %d fields: are the new ones carried?", v.NumField())
	}
}
