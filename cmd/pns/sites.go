package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trunkline.example/pns"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
)

func sitesCommand() *cobra.Command {
	a := command.NewAsker("pns")
	return a.Watched(a.Flags(&cobra.Command{
		Use: "sites", Short: "show the remote sites that are called, and whether they are up", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Show(cmd, a, pns.PathSites, func(sites []pns.SiteInfo) *admin.Table { return siteTable(sites, time.Now()) })
		},
	}))
}

func siteTable(sites []pns.SiteInfo, now time.Time) *admin.Table {
	t := &admin.Table{
		Columns: admin.Columns("site", "dial", "by", "phase", ">for", ">session", "our address", "its address", ">calls", ">failures", ">again in", ">waited", ">dropped", "routes", "last end"),
		Empty:   "no sites are configured",
	}
	for _, s := range sites {
		by := s.Server
		if s.PAC != "" {
			by = s.PAC + ": " + s.Number
		}
		again := ""
		if !s.RetryAt.IsZero() {
			again = admin.Age(s.RetryAt.Sub(now))
		}
		var session any = ""
		if s.Session != 0 {
			session = s.Session
		}
		t.Add(s.Name, s.Dial, by, s.Phase, admin.Age(now.Sub(s.Since)), session, s.Address, s.FarEnd, s.Calls, s.Failures, again, s.Forwarded.Held, s.Forwarded.Overflown+s.Forwarded.Unreachable,
			strings.Join(s.Routes, " "), s.LastEnd)
	}
	return t
}

func hangUpCommand() *cobra.Command {
	a := command.NewAsker("pns")
	return a.Flags(&cobra.Command{
		Use: "hangup SITE", Short: "end the call to a site", Args: cobra.ExactArgs(1),
		Long: "End the call to a site, or give up the one that is being made. The site is not called again, not even if it is persistent,\n" +
			"before `pns call SITE` orders it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var done pns.HangUp
			if err := a.Client().Post(cmd.Context(), pns.PathHangUp, pns.HangUp{Site: args[0]}, &done); err != nil {
				return err
			}
			return a.Print(cmd, done, func() *admin.Table {
				t := &admin.Table{Columns: admin.Columns("hung up")}
				t.Add(done.Site)
				return t
			})
		},
	})
}
