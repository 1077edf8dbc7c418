package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Descriptors of process 1.
const (
	ordersFD = 3 // reads order after order; at its end the launcher is dead
	reportFD = 4 // takes one text: why the lab failed; nothing if it did not
)

// order is what the launcher tells process 1. Orders come through a pipe and not as signals: process 1 of a PID namespace gets no
// signals before it has asked for them, and the end of the pipe tells that the launcher is dead.
type order struct {
	Start *start `json:"start,omitempty"`
	Stop  string `json:"stop,omitempty"` // why
}

// start is the first order.
type start struct {
	Options Options `json:"options"`
	PID     int     `json:"pid"` // of process 1, as seen from outside
	PAC     string  `json:"pac"` // paths of the programs
	PNS     string  `json:"pns"`
	Access  access  `json:"access"`
}

// openOrders takes over the descriptors, so that no child inherits them.
func openOrders() (orders, report *os.File, err error) {
	for _, fd := range []int{ordersFD, reportFD} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, nil, errors.New("this command is not for people: `pac lab` starts it")
		}
	}
	return os.NewFile(ordersFD, "orders"), os.NewFile(reportFD, "report"), nil
}

// receive reads the order to start, and then calls stop with each reason to stop; gone is called when the launcher is dead.
func receive(orders io.Reader, stop func(why string), gone func()) (start, error) {
	d := json.NewDecoder(orders)
	var first order
	if err := d.Decode(&first); err != nil {
		return start{}, fmt.Errorf("the order to start: %w", err)
	}
	if first.Start == nil {
		return start{}, fmt.Errorf("stopped before the start: %s", first.Stop)
	}
	go func() {
		for {
			var o order
			if d.Decode(&o) != nil {
				gone()
				return
			}
			stop(o.Stop)
		}
	}()
	return *first.Start, nil
}
