package main

import (
	"os"
	"strconv"
	"strings"
)

// kernelMemory is what the kernel uses for itself, in KiB, in all of the machine: /proc/meminfo has it in several lines.
func kernelMemory() (sum float64) {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "Slab:", "KernelStack:", "PageTables:", "Percpu:":
			kib, _ := strconv.ParseFloat(fields[1], 64)
			sum += kib
		}
	}
	return sum
}
