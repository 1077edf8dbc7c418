package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trunkline.example/pac"
	"trunkline.example/pac/selftest"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
)

// errSelfTest is the error of the command when a line is not as it should be.
var errSelfTest = errors.New("a line failed its self-test, or none was made")

func selfTestCommand() *cobra.Command {
	a := command.NewAsker("pac")
	var to string
	cmd := a.Flags(&cobra.Command{
		Use: "selftest LINE", Short: "have a line call another one, and grade both", Args: cobra.ExactArgs(1),
		Long: "Have a line call another one, exchange test frames, and grade both. Callers come first: no test takes the last free line\n" +
			"that a call could need, unless the lines to be tested have been disabled.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var o pac.SelfTestOutcome
			if err := a.Client().Post(cmd.Context(), pac.PathTest, pac.SelfTestRequest{Line: args[0], To: to}, &o); err != nil {
				return err
			}
			if err := a.Print(cmd, o, func() *admin.Table { return selfTestTable(o) }); err != nil {
				return err
			}
			if !o.Caller.Grade.Passes(o.Minimum) || !o.Answerer.Grade.Passes(o.Minimum) {
				return errSelfTest
			}
			return nil
		},
	})
	cmd.Flags().StringVar(&to, "to", "", "line that is called; without it, one that is free")
	return cmd
}

func selfTestTable(o pac.SelfTestOutcome) *admin.Table {
	t := &admin.Table{Columns: admin.Columns("line", "role", "grade", "speed", "error control", ">sent", ">received", ">lost", ">damaged", ">octets lost", ">line errors", "round trip", "reason")}
	for _, r := range []pac.SelfTestResult{o.Caller, o.Answerer} {
		speed, trip := "", ""
		if r.SpeedIn != 0 {
			speed = fmt.Sprintf("%d/%d", r.SpeedIn, r.SpeedOut)
		}
		if r.RoundTrip > 0 {
			trip = fmt.Sprintf("%.0f ms", r.RoundTrip)
		}
		t.Add(r.Line, r.Role, gradeText(r.Grade), speed, r.ErrorControl, r.FramesSent, r.FramesReceived, r.FramesLost, r.Damaged, r.OctetsLost, r.LineErrors, trip, r.Reason)
	}
	return t
}

func gradeText(g selftest.Grade) string {
	if g == "" {
		return "none"
	}
	return string(g)
}

// selfTestNote tells a line's last self-test beneath its row.
func selfTestNote(t *admin.Table, s *pac.SelfTestStatus) {
	if s == nil {
		t.Note("self-test", "never")
		return
	}
	parts := []string{fmt.Sprintf("%s, %s ago, as %s with %s", s.Grade, admin.Age(time.Since(s.At)), s.Role, s.With)}
	if s.Reason != "" {
		parts = append(parts, s.Reason)
	}
	if s.Failures > 1 {
		parts = append(parts, fmt.Sprintf("%d failures in a row", s.Failures))
	}
	if s.SpeedIn != 0 {
		parts = append(parts, fmt.Sprintf("%d/%d bit/s, error control %s, %d of the other line's frames (%d octets) lost, %d damaged, %d line errors, round trip %.0f ms",
			s.SpeedIn, s.SpeedOut, known(s.ErrorControl), s.FramesLost, s.OctetsLost, s.Damaged, s.LineErrors, s.RoundTrip))
	}
	t.Note("self-test", "%s", strings.Join(parts, "; "))
}
