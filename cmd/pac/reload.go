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
func reloadOnHangup(ctx context.Context, file string, server *pac.Server, records *record.Writer, log *zap.Logger, level zap.AtomicLevel) {
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
			log.Error("the configuration stays as it was", zap.Error(err))
			continue
		}
		if keys := server.Reload(fresh); len(keys) > 0 {
			log.Warn("changes that need a restart are left out", zap.String("keys", strings.Join(keys, ", ")))
		}
		if err := logging.SetLevel(level, fresh.Log.Level); err != nil {
			log.Error("the log level stays as it was", zap.Error(err))
		}
		log.Info("configuration reloaded", zap.String(logging.KeyFile, file))
	}
}
