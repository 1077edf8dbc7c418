package modem

import (
	"os"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"trunkline.example/plugins/lineplugin"
	"trunkline.example/shared/confine"
	"trunkline.example/shared/line/linetest"
)

// serveArgument makes the test binary the process of a driver.
const serveArgument = "serve-modem-driver"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == serveArgument {
		lineplugin.Serve(New(Options{Logger: lineplugin.ChildLogger()}))
		return
	}
	goleak.VerifyTestMain(m)
}

// The suite passes as it does directly when gRPC lies between the driver and its host.
func TestConformanceBehindGRPC(t *testing.T) {
	for _, c := range linetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			c.Run(t, func(t *testing.T) linetest.Fixture {
				f := onTerminal(t)
				b, err := lineplugin.InProcess(f.Driver)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(b.Close)
				f.Driver = b
				return f
			})
		})
	}
}

// And when the driver is a process of its own, started as pac starts it.
func TestConformanceAsProcess(t *testing.T) {
	command, err := lineplugin.Self("modem", serveArgument)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range linetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			c.Run(t, func(t *testing.T) linetest.Fixture {
				f := onTerminal(t)
				var err error
				command.Confine = true
				if command.Files, err = Files(Analog, f.Section); err != nil {
					t.Fatal(err)
				}
				// Not the test's logger: what the process says last may come after the test.
				d, err := lineplugin.Load(t.Context(), command, zap.NewNop())
				if err != nil {
					t.Fatal(err)
				}
				if _, missing := confine.Version(); d.Status().Confinement.Confined != (missing == nil) {
					t.Errorf("%+v", d.Status().Confinement)
				}
				t.Cleanup(func() {
					if err := d.Close(); err != nil {
						t.Error(err)
					}
				})
				f.Driver = d
				return f
			})
		})
	}
}
