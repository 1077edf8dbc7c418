package tables

import (
	"strings"
	"testing"

	"trunkline.example/shared/conf"
)

// file is a whole document of these tables.
type file struct {
	Admin   Admin   `toml:"admin"`
	Records Records `toml:"records"`
	Log     Log     `toml:"log"`
}

func decode(text string) (file, error) {
	f := file{Admin: DefaultAdmin("pns"), Records: DefaultRecords("pns"), Log: DefaultLog()}
	document, err := conf.Parse("t.toml", []byte(text))
	if err != nil {
		return f, err
	}
	if err := document.Decode(&f); err != nil {
		return f, err
	}
	var errs conf.Errors
	fail := func(key, format string, args ...any) { errs = append(errs, document.Errorf(key, format, args...)) }
	f.Admin.Check(fail)
	f.Log.Check(fail)
	if len(errs) > 0 {
		return f, errs
	}
	return f, nil
}

func TestDefaultsAreGood(t *testing.T) {
	f, err := decode("")
	if err != nil {
		t.Fatal(err)
	}
	if o := f.Admin.Options(); o.Socket != "/run/trunkline/pns.sock" || o.Mode != 0o660 || o.Group != "" {
		t.Errorf("%+v", o)
	}
	if c := f.Log.Config(); c.Level != "info" || c.Format != "text" || c.NoTime {
		t.Errorf("%+v", c)
	}
	if f.Records.File != "/var/log/trunkline/pns-calls.jsonl" || f.Records.Sync.Duration != 0 {
		t.Errorf("%+v", f.Records)
	}
}

func TestValues(t *testing.T) {
	f, err := decode("[admin]\nsocket = \"\"\nmode = \"0600\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\ntime = false\n")
	if err != nil {
		t.Fatal(err)
	}
	if f.Admin.Socket != "" || f.Admin.Options().Mode != 0o600 || f.Admin.Mode.String() != "0600" || !f.Log.Config().NoTime {
		t.Errorf("%+v", f)
	}
}

func TestErrorsNamePlaceAndKey(t *testing.T) {
	for text, want := range map[string]string{
		"[admin]\nmode = \"0666\"":                                "t.toml:2:1: admin.mode: \"0666\" would let everybody control the daemon",
		"[admin]\nmode = \"0060\"":                                "t.toml:2:1: admin.mode: \"0060\" does not let the owner",
		"[admin]\nmode = \"9\"":                                   "t.toml:2:1: admin.mode: \"9\" is not an octal mode",
		"[admin]\nmode = \"1777\"":                                "t.toml:2:1: admin.mode: \"1777\" is not an octal mode",
		"[admin]\nsocket = \"x.sock\"":                            "t.toml:2:1: admin.socket: \"x.sock\" is not an absolute path",
		"[admin]\nsocket = \"/" + strings.Repeat("x", 107) + "\"": "of at most 107 octets",
		"[log]\nlevel = \"loud\"":                                 "t.toml:2:1: log.level:",
		"[log]\nformat = \"xml\"":                                 "t.toml:2:1: log.format:",
		"[records]\nsync = 3":                                     "t.toml:2:1: records.sync:",
		"[records]\nfil = \"x\"":                                  "t.toml:2:1: records.fil: unknown key (did you mean \"file\"?)",
	} {
		if _, err := decode(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v\nwant %s", text, err, want)
		}
	}
}
