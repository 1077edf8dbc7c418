package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"trunkline.example/pac/config"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE]", Short: "check a configuration file and print what would be in force", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := config.DefaultFile
			if len(args) == 1 {
				file = args[0]
			}
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), cfg.Effective())
			return err
		},
	}
}
