// Command pns is the PPTP network server and its operator's tool. `pns help` lists the commands.
//
// Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
package main

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"trunkline.example/pns/config"
	"trunkline.example/shared/command"
)

// version is set by the linker.
var version = "development"

func main() { os.Exit(exitStatus(os.Stderr, command.Main(root()))) }

// exitStatus prints the error, if there is one.
func exitStatus(w io.Writer, err error) int { return command.ExitStatus(w, "pns", err) }

func root() *cobra.Command {
	drain, undrain := command.Drain("pns")
	return command.Root("pns", "PPTP network server: terminates PPP, authenticates, encrypts and routes",
		runCommand(), sessionsCommand(), linesCommand(), statusCommand(), kickCommand(), callCommand(), loadCommand(), sitesCommand(), hangUpCommand(),
		command.Trace("pns", command.TraceCall, command.TraceUser, command.TracePeer),
		drain, undrain, userCommand(), checkCommand(), command.Version("pns", version))
}

func checkCommand() *cobra.Command {
	return command.Check(config.DefaultFile, func(file string) (string, error) {
		cfg, err := loadConfig(file)
		if err != nil {
			return "", err
		}
		return cfg.Effective(), nil
	})
}

// loadConfig reads the named file; without a name the default file, if there is one, or else the defaults.
func loadConfig(file string) (*config.Config, error) {
	if file == "" {
		if _, err := os.Stat(config.DefaultFile); errors.Is(err, os.ErrNotExist) {
			return config.Default(), nil
		}
		file = config.DefaultFile
	}
	cfg, err := config.Load(file)
	return cfg, command.Configuration(err)
}
