package main

import (
	"bytes"
	"strings"
	"testing"
)

// What a test prints that fails without a verdict of its own, as in a panic or a time-out, must be shown; and the reason of a skip.
func TestReport(t *testing.T) {
	r := &run{output: map[string][]string{}}
	r.read(strings.NewReader(`not JSON
{"Action":"output","Package":"p","Test":"TestFine","Output":"fine words\n"}
{"Action":"pass","Package":"p","Test":"TestFine"}
{"Action":"output","Package":"p","Test":"TestPanics","Output":"panic: the reason\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\n"}
{"Action":"fail","Package":"p","Elapsed":1}
{"Action":"output","Package":"pq","Test":"TestSkips","Output":"=== RUN   TestSkips\n"}
{"Action":"output","Package":"pq","Test":"TestSkips","Output":"    a_test.go:3: something else\n"}
{"Action":"output","Package":"pq","Test":"TestSkips","Output":"    a_test.go:4: needs root\n"}
{"Action":"output","Package":"pq","Test":"TestSkips","Output":"--- SKIP: TestSkips (0.00s)\n"}
{"Action":"skip","Package":"pq","Test":"TestSkips"}
{"Action":"pass","Package":"pq"}`))
	var out bytes.Buffer
	r.report(&out)
	for _, want := range []string{"panic: the reason", "skipped pq TestSkips: a_test.go:4: needs root", "1 passed, 0 failed, 1 skipped"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the report:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "fine words") {
		t.Errorf("what passed is reported:\n%s", out.String())
	}
}
