// Command pac is the PPTP access concentrator and its operator's tool. `pac help` lists the commands.
//
// Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"trunkline.example/pac/config"
	"trunkline.example/shared/command"
	"trunkline.example/shared/line"
)

// version is set by the linker.
var version = "development"

func main() { os.Exit(exitStatus(os.Stderr, command.Main(root()))) }

// exitStatus prints the error, if there is one. What a driver finds wrong in its section is wrong configuration too.
func exitStatus(w io.Writer, err error) int {
	return command.ExitStatus(w, "pac", err, line.ErrConfiguration)
}

func root() *cobra.Command {
	drain, undrain := command.Drain("pac")
	return command.Root("pac", "PPTP access concentrator: answers dial-in calls and relays them to a network server",
		runCommand(), linesCommand(), callsCommand(), hangupCommand(), lineCommand(),
		command.Trace("pac", command.TraceCall, command.TraceLine, command.TracePeer), drain, undrain, driversCommand(), statusCommand(), checkCommand(),
		command.Version("pac", version), driverCommand(), exchangeCommand(), callerCommand(), labCommand(), labInitCommand())
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
