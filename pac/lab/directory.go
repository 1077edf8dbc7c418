package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"trunkline.example/shared/admin"
)

// book is the exchange's directory.json, as far as the lab looks.
type book struct {
	Lines []bookLine `json:"lines"`
	Hunts []struct {
		Number string
		Lines  []string
	} `json:"hunts"`
	Busy     string `json:"busy"`
	NoAnswer string `json:"no_answer"`
	Reorder  string `json:"reorder"`
}

// bookLine is a line of it.
type bookLine struct {
	Name, Number, Port, Socket, TTY string
	Digital                         bool // with an ISDN terminal adapter
}

func readBook() (book, error) {
	var b book
	text, err := os.ReadFile(directory)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		return b, fmt.Errorf("the exchange's directory: %w", err)
	}
	return b, nil
}

// directoryText tells who is where, and what to type.
func directoryText(s start, b book) (string, error) {
	var out strings.Builder
	fmt.Fprintf(&out, "The lab is up: pns on %s, pac on %s, an exchange with %d lines and %d phones.\n\n", pnsAddress, pacAddress, s.Options.Lines, s.Options.Phones)
	t := &admin.Table{Columns: admin.Columns("number", "name", "tty now", "port", "use")}
	for _, h := range b.Hunts {
		t.Add(h.Number, "hunt group", "", "", lineNames(h.Lines)+", the first that is free")
	}
	for _, l := range b.Lines {
		use := "free for you"
		switch {
		case strings.HasPrefix(l.Name, "line"):
			use = "pac answers"
		case strings.HasPrefix(l.Name, "isdn"):
			use = "pac answers: ISDN"
		case l.Digital:
			use = "free for you: ISDN"
		case l.Name == callerPhone:
			use = "the built-in call, then free for you"
		}
		t.Add(l.Number, l.Name, l.TTY, outside(s.PID, l.Port), use)
	}
	t.Add(b.Busy, "busy", "", "", "always")
	t.Add(b.NoAnswer, "no answer", "", "", "nobody ever answers")
	t.Add(b.Reorder, "reorder", "", "", "the network has no way to it")
	if err := t.Write(&out); err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "\nBeside each port, PORT.sock is the same modem as a Unix socket. Files of the lab: %s\n", outside(s.PID, runDir))
	return out.String() + "\n" + usageText(s, freePhone(s.Options.Phones)), nil
}

// lineNames shortens a list of lines.
func lineNames(names []string) string {
	if len(names) <= 2 {
		return strings.Join(names, ", ")
	}
	return names[0] + " ... " + names[len(names)-1]
}

// freePhone is one that the built-in call does not use, if there is one.
func freePhone(phones int) string {
	if phones > 1 {
		return "phone2"
	}
	return callerPhone
}

// usageText is the exact lines to type.
func usageText(s start, phone string) string {
	var b strings.Builder
	port := outside(s.PID, linesDir+"/"+phone)
	fmt.Fprintf(&b, "Dial in from another terminal, user %q, password %q:\n", User, Password)
	fmt.Fprintf(&b, "  %s%s\n", s.Access.sudo(), pppdLine(port, HuntNumber))
	if s.Options.ISDN > 0 {
		fmt.Fprintf(&b, "  %s%s\n", s.Access.sudo(), pppdLine(outside(s.PID, linesDir+"/ta1"), isdnNumber))
	}
	fmt.Fprintf(&b, "  %swvdial -C %s %s\n", s.Access.sudo(), outside(s.PID, wvdialFile), phone)
	fmt.Fprintf(&b, "  ping %s\n", innerPNS)
	fmt.Fprintf(&b, "Look inside (pac lines, pac calls, pns sessions, tcpdump -i lo):\n")
	for _, line := range s.Access.enter(s.PID) {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	b.WriteString("\n")
	return b.String()
}

// pppdLine is the exact command for a real pppd on a port. nodefaultroute and noipdefault keep the host's network as it is.
func pppdLine(port, number string) string {
	chat := fmt.Sprintf(`chat -v ABORT BUSY ABORT "NO CARRIER" ABORT "NO ANSWER" TIMEOUT 60 "" ATZ OK ATDT%s CONNECT ""`, number)
	return fmt.Sprintf(`pppd %s 115200 connect '%s' user %s password %s noauth nodetach noipdefault nodefaultroute require-mppe-128`, port, chat, User, Password)
}
