package tunnel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Nobody is woken since there is room to write: of all epoll instances of this process only one watches the socket, and for what can be read.
func TestSocketIsWatchedForArrivals(t *testing.T) {
	inNamespace(t, func(l loopback) {
		s := l.listen(Config{Local: l.one})
		if err := s.raw.Control(func(fd uintptr) {
			events, err := watches(int(fd))
			if err != nil || len(events) != 1 || events[0]&unix.EPOLLIN == 0 || events[0]&unix.EPOLLOUT != 0 {
				l.fail(fmt.Sprintf("watched for %#x, %v", events, err))
			}
		}); err != nil {
			l.fail(err)
		}
	})
}

// watches returns what the epoll instances of this process watch a descriptor for (proc_pid_fdinfo(5)).
func watches(fd int) (events []uint32, err error) {
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(text)) {
			var target int
			var mask uint32
			if n, _ := fmt.Sscanf(line, "tfd: %d events: %x", &target, &mask); n == 2 && target == fd {
				events = append(events, mask)
			}
		}
	}
	return events, nil
}
