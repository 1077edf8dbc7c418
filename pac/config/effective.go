package config

import (
	"bytes"

	"github.com/pelletier/go-toml/v2"

	"trunkline.example/shared/conf"
)

// Effective renders what is in force, defaults included, as TOML. Drivers' options are shown as they are written: their defaults are the
// drivers' own.
func (c Config) Effective() string {
	d := func(v conf.Duration) string { return v.String() }
	type table map[string]any
	timers := table{
		"reply": d(duration(c.Timers.Reply)), "connect": d(duration(c.Timers.Connect)), "hangup": d(duration(c.Timers.Hangup)),
		"echo": d(duration(c.Timers.Echo)), "wan_errors": d(duration(c.Timers.WANErrors)), "reconnect": d(duration(c.Timers.Reconnect)),
		"shutdown": d(duration(c.Timers.Shutdown)), "report": d(duration(c.Timers.Report)),
	}
	var servers, drivers, hunts, routes []table
	for _, p := range c.PNS {
		t := table{"name": p.Name, "address": p.Address.String(), "weight": p.Weight, "connection": ConnectionShared}
		if p.PerCall {
			t["connection"] = ConnectionPerCall
		}
		if p.Local.IsValid() {
			t["local"] = p.Local.String()
		}
		servers = append(servers, t)
	}
	for _, v := range c.Drivers {
		t := table{"name": v.Name, "kind": v.Kind, "process": v.Process, "confine": v.Confine, "options": v.Options}
		if len(v.Command) > 0 {
			t["command"] = v.Command
		}
		if len(v.Paths) > 0 {
			t["paths"] = v.Paths
		}
		drivers = append(drivers, t)
	}
	for _, h := range c.Hunts {
		hunts = append(hunts, table{"name": h.Name, "number": h.Number, "lines": h.Lines})
	}
	for _, r := range c.Routes {
		t := table{"refuse": r.Refuse, "pns": r.PNS, "order": string(r.Order)}
		if r.Withheld {
			t["withheld"] = true
		}
		for key, value := range map[string]string{"called": r.Called, "caller": r.Caller, "line": r.Line, "hunt": r.Hunt, "hours": r.Hours.String()} {
			if value != "" {
				t[key] = value
			}
		}
		routes = append(routes, t)
	}
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.SetIndentTables(false)
	if err := e.Encode(table{
		"name": c.Name, "refused": string(c.Refused), "timers": timers,
		"pns": servers, "driver": drivers, "hunt": hunts, "route": routes, "dialout": c.Dialout.table(), "selftest": c.SelfTest.table(),
		"admin": c.Admin, "records": c.Records, "log": c.Log,
	}); err != nil {
		return "# " + err.Error() + "\n"
	}
	return b.String()
}
