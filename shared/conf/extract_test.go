package conf

import (
	"strings"
	"testing"
)

func TestExtractKeepsLinesAndDropsThePrefix(t *testing.T) {
	const document = `name = "x"
[[driver]]
name = "a"
[driver.options]
first = 1 # one
[[driver.options.line]]
device = "/dev/a"
[driver.options.line.init]
device = "x"
[[driver.options.line]]
device = """
[driver.options]
"""
[[driver]]
name = "b"
[driver.options.deep.er]
second = 2
[other]
third = 3
`
	got := string(Extract([]byte(document), "driver[0].options"))
	want := "\n\n\n\nfirst = 1 # one\n[[line]]\ndevice = \"/dev/a\"\n[line.init]\ndevice = \"x\"\n[[line]]\ndevice = \"\"\"\n[driver.options]\n\"\"\"\n"
	if strings.TrimRight(got, "\n")+"\n" != want {
		t.Errorf("driver[0].options:\n%q, want\n%q", got, want)
	}
	got = string(Extract([]byte(document), "driver[1].options"))
	if want := strings.Repeat("\n", 15) + "[deep.er]\nsecond = 2\n"; strings.TrimRight(got, "\n")+"\n" != want {
		t.Errorf("driver[1].options:\n%q, want\n%q", got, want)
	}
}
