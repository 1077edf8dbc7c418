package capture

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Recording is a line of index.csv.
type Recording struct {
	Name        string // the file without .pcap
	Path        string // of the pcap file
	User        string
	Password    string // the right one
	Given       string // the one the client used
	Auth        string // "MS-CHAPv2", ...
	Accepted    bool   // authentication succeeded
	Compression string // what CCP came to, for people: "MPPE-128 stateless both ways", "none", ...
}

// Serial tells whether it is of a serial line rather than of PPTP.
func (r Recording) Serial() bool { return strings.HasPrefix(r.Name, "serial-") }

// Frames reads the PPP frames of a recording, of a line or from inside the tunnel.
func (r Recording) Frames() ([]Frame, error) {
	if r.Serial() {
		return ReadSerial(r.Path)
	}
	c, err := ReadPPTP(r.Path)
	if err != nil {
		return nil, err
	}
	return c.Frames()
}

// Index reads index.csv in the directory of the recordings.
func Index(dir string) ([]Recording, error) {
	path := filepath.Join(dir, "index.csv")
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) < 2 {
		return nil, fmt.Errorf("%s: empty", path)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, name := range []string{"file", "user", "password", "given", "auth", "result", "ccp"} {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("%s: no column %q", path, name)
		}
	}
	var out []Recording
	for _, row := range rows[1:] {
		get := func(name string) string { return row[column[name]] }
		r := Recording{
			Name: strings.TrimSuffix(get("file"), ".pcap"), Path: filepath.Join(dir, get("file")),
			User: get("user"), Password: get("password"), Given: get("given"),
			Auth: get("auth"), Accepted: get("result") == "accepted", Compression: get("ccp"),
		}
		if r.Given == "" {
			r.Given = r.Password
		}
		out = append(out, r)
	}
	return out, nil
}
