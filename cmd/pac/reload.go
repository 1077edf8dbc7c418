package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"trunkline.example/pac"
	"trunkline.example/pac/config"
	"trunkline.example/plugins/builtin"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/record"
)

// reloadOnHangup reads the configuration again on SIGHUP, for new calls; a bad file changes nothing. The file of call records is
// opened anew, so that it can be rotated.
func reloadOnHangup(ctx context.Context, file string, server *pac.Server, records *record.Writer, log *zap.Logger) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		if records != nil {
			if err := records.Reopen(); err != nil {
				log.Error("call records: the old file stays in use", zap.Error(err))
			}
		}
		fresh, err := config.Load(file, builtin.Kinds())
		if err != nil {
			log.Error("configuration not reloaded, the old one stays in force", zap.String(logging.KeyFile, file), zap.Error(err))
			continue
		}
		waiting := server.Reload(fresh)
		log.Info("configuration reloaded for new calls", zap.String(logging.KeyFile, file), zap.String("needs_restart", strings.Join(waiting, "; ")))
	}
}
