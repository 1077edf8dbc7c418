package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"trunkline.example/pac"
	"trunkline.example/pac/config"
	"trunkline.example/plugins/builtin"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/record"
)

func runCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "run", Short: "run the concentrator", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), file, cfg)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", config.DefaultFile, "configuration file")
	return cmd
}

// loadConfig reads the configuration; without a file there are no lines and nothing to do. A file that cannot be read is wrong usage.
func loadConfig(file string) (config.Config, error) {
	cfg, err := config.Load(file, builtin.Kinds())
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, command.Usage(fmt.Errorf("%w: a concentrator needs to know its lines and network servers; etc/pac.toml in the sources is a sample to start from, and `pac lab` works without any", err))
	}
	return cfg, command.Configuration(err)
}

// serve runs the daemon until ctx ends.
func serve(ctx context.Context, file string, cfg config.Config) error {
	log, level, err := logging.New(cfg.Log.Config())
	if err != nil {
		return err
	}
	var records *record.Writer
	if file := cfg.Records.File; file != "" {
		if records, err = record.Open(file, record.Options{Sync: cfg.Records.Sync.Duration, Report: record.LogTo(log, file)}); err != nil {
			return err
		}
		defer records.Close()
	}
	server, err := pac.New(cfg, pac.Options{Log: log, Version: version, Records: records, Drivers: driverSource(log)})
	if err != nil {
		return err
	}
	options := cfg.Admin.Options()
	options.Logger = log
	api := admin.NewServer(options)
	server.Endpoints(api)
	stopAdmin, err := api.Start()
	if err != nil {
		return err
	}
	defer stopAdmin()
	reloadCtx, stopReload := context.WithCancel(ctx)
	defer stopReload()
	go reloadOnHangup(reloadCtx, file, server, records, log, level)
	err = server.Run(ctx, func() {
		log.Info("ready", zap.String(logging.KeyVersion, version), zap.Int("lines", len(server.Lines())))
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	})
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	return err
}
