package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/admin"
)

// table is everything that is printed.
type table struct {
	Machine  machine            `json:"machine"`
	Order    []string           `json:"order"` // of the sections
	Sections map[string]*result `json:"sections"`
	Goals    []verdict          `json:"goals,omitempty"`
	Seconds  float64            `json:"seconds"` // that measuring took
	Problems []string           `json:"problems,omitempty"`
}

func (t *table) take(name string, r result) {
	if t.Sections == nil {
		t.Sections = map[string]*result{}
	}
	t.Order = append(t.Order, name)
	t.Sections[name] = &r
	if r.Problem != "" {
		t.Problems = append(t.Problems, name+": "+r.Problem)
	}
}

// print writes JSON, or the table for people.
func (t *table) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return admin.Print(out, true, t, nil)
	}
	fmt.Fprintf(out, "%s\n\n", t.Machine)
	figures := &admin.Table{Columns: admin.Columns("section", "figure", ">value", "unit", "note")}
	for _, name := range t.Order {
		for _, f := range t.Sections[name].Figures {
			figures.Add(name, f.Name, digits(f.Value), f.Unit, f.Note)
		}
	}
	if err := figures.Write(out); err != nil {
		return err
	}
	fmt.Fprintln(out)
	rows, counts := t.goalTable()
	if err := rows.Write(out); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n\n", counts)
	for _, name := range t.Order {
		if why := t.Sections[name].Skipped; why != "" {
			fmt.Fprintf(out, "skipped: %s: %s\n", name, why)
		}
	}
	for _, p := range t.Problems {
		fmt.Fprintf(out, "problem: %s\n", p)
	}
	var took []string
	for _, name := range t.Order {
		if name == wholeRun {
			continue
		}
		took = append(took, fmt.Sprintf("%s %.0f", name, t.Sections[name].Seconds))
	}
	fmt.Fprintf(out, "measured in %.0f s, builds included: %s\n", t.Seconds, strings.Join(took, ", "))
	return nil
}

// digits writes a value with three digits that count.
func digits(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10 || v <= -10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1 || v <= -1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// machine is what the figures were measured on.
type machine struct {
	CPU     string    `json:"cpu"`
	CPUs    int       `json:"cpus"`
	Memory  uint64    `json:"memory"` // octets
	Kernel  string    `json:"kernel"`
	Go      string    `json:"go"`
	Version string    `json:"version"` // of the daemons
	Load    string    `json:"load"`    // averages before measuring
	When    time.Time `json:"when"`
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d CPUs, %.0f GiB, Linux %s, %s; %s; %s, load before %s", m.CPU, m.CPUs, float64(m.Memory)/(1<<30), m.Kernel, m.Go,
		m.Version, m.When.Format(time.DateOnly), m.Load)
}

func describeMachine(bin string) machine {
	m := machine{CPU: "unknown processor", CPUs: runtime.NumCPU(), Go: runtime.Version(), When: time.Now(), Version: "unknown version"}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = info.Totalram * uint64(info.Unit)
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	}
	if out, err := exec.Command(filepath.Join(bin, "pns"), "version").Output(); err == nil {
		m.Version = strings.TrimSpace(string(out))
	}
	return m
}
