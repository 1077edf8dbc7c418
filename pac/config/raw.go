package config

import (
	"trunkline.example/shared/conf"
	"trunkline.example/shared/conf/tables"
)

// raw is the document as written.
type raw struct {
	Name     string         `toml:"name"`
	Refused  RefusedPolicy  `toml:"refused"`
	Timers   rawTimers      `toml:"timers"`
	PNS      []rawPNS       `toml:"pns"`
	Driver   []rawDriver    `toml:"driver"`
	Hunt     []rawHunt      `toml:"hunt"`
	Route    []rawRoute     `toml:"route"`
	Dialout  rawDialout     `toml:"dialout"`
	SelfTest rawSelfTest    `toml:"selftest"`
	Admin    tables.Admin   `toml:"admin"`
	Records  tables.Records `toml:"records"`
	Log      tables.Log     `toml:"log"`
}

type rawTimers struct {
	Reply     conf.Duration `toml:"reply"`
	Connect   conf.Duration `toml:"connect"`
	Hangup    conf.Duration `toml:"hangup"`
	Echo      conf.Duration `toml:"echo"`
	WANErrors conf.Duration `toml:"wan_errors"`
	Reconnect conf.Duration `toml:"reconnect"`
	Shutdown  conf.Duration `toml:"shutdown"`
	Report    conf.Duration `toml:"report"`
}

type rawPNS struct {
	Name    string        `toml:"name"`
	Address conf.AddrPort `toml:"address"`
	Local   conf.Addr     `toml:"local"`
	Weight  *int          `toml:"weight"`

	Connection string `toml:"connection"`
}

type rawDriver struct {
	Name    string       `toml:"name"`
	Kind    string       `toml:"kind"`
	Process *bool        `toml:"process"`
	Confine *bool        `toml:"confine"`
	Paths   []string     `toml:"paths"`
	Command []string     `toml:"command"`
	Options conf.Section `toml:"options"`
}

type rawHunt struct {
	Name   string   `toml:"name"`
	Number string   `toml:"number"`
	Lines  []string `toml:"lines"`
}

type rawRoute struct {
	Called   string     `toml:"called"`
	Caller   string     `toml:"caller"`
	Line     string     `toml:"line"`
	Hunt     string     `toml:"hunt"`
	Hours    conf.Hours `toml:"hours"`
	Withheld bool       `toml:"withheld"`
	PNS      []string   `toml:"pns"`
	Order    string     `toml:"order"`
	Refuse   bool       `toml:"refuse"`
}
