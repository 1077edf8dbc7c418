package config

import (
	"trunkline.example/pns/aaa"
	"trunkline.example/pns/filter"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/conf/tables"
)

// raw is the file as it is written. Its order is that of Effective.
type raw struct {
	Name     string         `toml:"name"`
	Policy   *rawPolicy     `toml:"policy,omitempty"`
	Listener []rawListener  `toml:"listener"`
	PAC      []rawPAC       `toml:"pac,omitempty"`
	Site     []rawSite      `toml:"site,omitempty"`
	Filter   []rawFilter    `toml:"filter,omitempty"`
	Pool     rawPool        `toml:"pool"`
	Users    rawUsers       `toml:"users"`
	Limits   rawLimits      `toml:"limits"`
	Timers   rawTimers      `toml:"timers"`
	Network  rawNetwork     `toml:"network"`
	Admin    tables.Admin   `toml:"admin"`
	Records  tables.Records `toml:"records"`
	Log      tables.Log     `toml:"log"`
}

// rawPolicy are keys that may stand in [policy], for all, and again in each [[listener]] and [[pac]].
type rawPolicy struct {
	Authentication []aaa.Protocol `toml:"authentication"`
	Encryption     Encryption     `toml:"encryption"`
	DNS            []conf.Addr    `toml:"dns"`
	WINS           []conf.Addr    `toml:"wins"`
	MTU            int            `toml:"mtu"`
	SessionTime    conf.Duration  `toml:"session_time"`
	IdleTime       conf.Duration  `toml:"idle_time"`
	Filter         string         `toml:"filter"`
	RateIn         conf.BitRate   `toml:"rate_in"`
	RateOut        conf.BitRate   `toml:"rate_out"`
	RateBurst      conf.Duration  `toml:"rate_burst"`
	SetLinkInfo    bool           `toml:"set_link_info"`
}

type rawListener struct {
	Name    string        `toml:"name"`
	Address conf.AddrPort `toml:"address"`
	rawPolicy
}

type rawPAC struct {
	Name     string        `toml:"name"`
	Address  []conf.Prefix `toml:"address"`
	HostName string        `toml:"host_name,omitempty"`
	rawPolicy
}

type rawFilter struct {
	Name      string        `toml:"name"`
	Rules     []filter.Rule `toml:"rules"`
	Otherwise string        `toml:"otherwise"`
}

// SetDefaults implements conf.Defaulter.
func (r *rawFilter) SetDefaults() { r.Otherwise = otherwiseDrop }

type rawPool struct {
	Ranges []conf.Range  `toml:"ranges"`
	Server conf.Addr     `toml:"server"`
	Rest   conf.Duration `toml:"rest"`
}

type rawUsers struct {
	File         string        `toml:"file"`
	KeepDomain   bool          `toml:"keep_domain"`
	Sessions     int           `toml:"sessions"`
	WhenExceeded string        `toml:"when_exceeded"`
	Timeout      conf.Duration `toml:"timeout"`
	Ban          rawBan        `toml:"ban"`
}

type rawBan struct {
	Failures int           `toml:"failures"`
	Window   conf.Duration `toml:"window"`
	Time     conf.Duration `toml:"time"`
}

type rawLimits struct {
	Connections          int `toml:"connections"`
	ConnectionsPerSource int `toml:"connections_per_source"`
	HalfOpen             int `toml:"half_open_calls"`
	HalfOpenPerSource    int `toml:"half_open_calls_per_source"`
	Sessions             int `toml:"sessions"`
	CallsPerConnection   int `toml:"calls_per_connection"`
	MessagesPerSecond    int `toml:"messages_per_second"`
	MessagesBurst        int `toml:"messages_burst"`

	MessagesPerSecondPerSource int `toml:"messages_per_second_per_source"`
}

type rawTimers struct {
	Establish       conf.Duration `toml:"establish"`
	Echo            conf.Duration `toml:"echo"`
	EchoReply       conf.Duration `toml:"echo_reply"`
	Reply           conf.Duration `toml:"reply"`
	Call            conf.Duration `toml:"call"`
	Probe           conf.Duration `toml:"probe"`
	Message         conf.Duration `toml:"message"`
	Restart         conf.Duration `toml:"restart"`
	Authentication  conf.Duration `toml:"authentication"`
	Encryption      conf.Duration `toml:"encryption"`
	LCPEcho         conf.Duration `toml:"lcp_echo"`
	LCPEchoFailures int           `toml:"lcp_echo_failures"`
	Shutdown        conf.Duration `toml:"shutdown"`
}

type rawNetwork struct {
	Interface  string   `toml:"interface"`
	MTU        int      `toml:"mtu"`
	Offload    bool     `toml:"offload"`
	Forwarding bool     `toml:"forwarding"`
	Uplinks    []string `toml:"uplinks"`
	Isolation  bool     `toml:"isolation"`
	Masquerade bool     `toml:"masquerade"`
	ClampMSS   bool     `toml:"clamp_mss"`
	Table      string   `toml:"nftables_table"`
}
