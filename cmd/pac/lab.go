package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"trunkline.example/modem/exchange/office"
	"trunkline.example/pac/lab"
	"trunkline.example/shared/command"
)

func labCommand() *cobra.Command {
	var o lab.Options
	cmd := &cobra.Command{
		Use: "lab", Short: "run everything on this machine, make a call and show it", Args: cobra.NoArgs,
		Long: "Run pns, pac and a telephone exchange with virtual modems in namespaces of their own; tell how to dial in; make one call and\n" +
			"show it from RING to the counters at hang-up; stay until Ctrl-C for your own calls. It needs neither root nor configuration, and\n" +
			"leaves nothing behind.",
		RunE: func(*cobra.Command, []string) error {
			if err := checkProfile(o.Impair); err != nil {
				return command.Usage(err)
			}
			if _, err := adapterNamed(o.Dialect); err != nil {
				return command.Usage(err)
			}
			err := lab.Launch(o)
			if errors.Is(err, lab.ErrUsage) {
				return command.Usage(err)
			}
			return err
		},
	}
	cmd.Flags().IntVar(&o.Lines, "lines", 8, "lines that pac answers")
	cmd.Flags().IntVar(&o.Phones, "phones", 8, "telephones for callers")
	cmd.Flags().IntVar(&o.ISDN, "isdn", 0, "ISDN terminal adapters that pac answers, under 4000, and as many for callers, ta1, ...")
	cmd.Flags().StringVar(&o.Dialect, "isdn-dialect", "elsa", "what they speak: elsa or isdn4linux")
	cmd.Flags().StringVar(&o.Impair, "impair", "clean", "what the telephones' lines are like: "+strings.Join(office.ProfileNames(), ", "))
	cmd.Flags().StringVar(&o.Seed, "seed", "", "any text: the same errors of the lines at the same places each time")
	cmd.Flags().BoolVar(&o.Once, "once", false, "end after the built-in call; the exit status is 0 if the pings came back through MPPE")
	cmd.Flags().BoolVar(&o.WithParent, "with-parent", false, "end when the parent process ends")
	cmd.Flags().StringVar(&o.Number, "number", lab.HuntNumber, "whom the built-in call dials")
	cmd.Flags().StringVar(&o.Password, "password", lab.Password, "what the built-in call logs in with")
	for _, name := range []string{"number", "password"} { // to see calls that fail
		_ = cmd.Flags().MarkHidden(name)
	}
	return cmd
}

// labInitCommand is the first process of the lab's namespaces.
func labInitCommand() *cobra.Command {
	return &cobra.Command{
		Use: lab.InitCommand, Short: "the lab's first process (started by `pac lab`)", Args: cobra.NoArgs, Hidden: true,
		Run: func(*cobra.Command, []string) { os.Exit(lab.Init()) },
	}
}
