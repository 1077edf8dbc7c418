package config

import (
	"trunkline.example/shared/conf"
)

// raw is the document as written.
type raw struct {
	Name    string        `toml:"name"`
	Admin   string        `toml:"admin"`
	Records string        `toml:"records"`
	Refused RefusedPolicy `toml:"refused"`
	Log     rawLog        `toml:"log"`
	Timers  rawTimers     `toml:"timers"`
	PNS     []rawPNS      `toml:"pns"`
	Driver  []rawDriver   `toml:"driver"`
	Hunt    []rawHunt     `toml:"hunt"`
	Route   []rawRoute    `toml:"route"`
}

type rawLog struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

type rawTimers struct {
	Reply     conf.Duration `toml:"reply"`
	Connect   conf.Duration `toml:"connect"`
	Hangup    conf.Duration `toml:"hangup"`
	Echo      conf.Duration `toml:"echo"`
	WANErrors conf.Duration `toml:"wan_errors"`
	Reconnect conf.Duration `toml:"reconnect"`
	Stop      conf.Duration `toml:"stop"`
}

type rawPNS struct {
	Name    string        `toml:"name"`
	Address conf.AddrPort `toml:"address"`
	Local   conf.Addr     `toml:"local"`
}

type rawDriver struct {
	Name    string       `toml:"name"`
	Kind    string       `toml:"kind"`
	Process *bool        `toml:"process"`
	Options conf.Section `toml:"options"`
}

type rawHunt struct {
	Name   string   `toml:"name"`
	Number string   `toml:"number"`
	Lines  []string `toml:"lines"`
}

type rawRoute struct {
	Called string   `toml:"called"`
	Caller string   `toml:"caller"`
	Line   string   `toml:"line"`
	Hunt   string   `toml:"hunt"`
	PNS    []string `toml:"pns"`
	Refuse bool     `toml:"refuse"`
}
