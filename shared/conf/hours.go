package conf

import (
	"fmt"
	"strings"
	"time"
)

// Hours is a part of every day in local time, written "08:00-18:30"; one that ends before it begins goes over midnight.
// The zero Hours is the whole day.
type Hours struct {
	from, to int // minutes since midnight; to is not included
}

// UnmarshalText parses the text. Both times must differ.
func (h *Hours) UnmarshalText(text []byte) error {
	first, last, ok := strings.Cut(string(text), "-")
	from, err1 := time.Parse("15:04", first)
	to, err2 := time.Parse("15:04", last)
	if !ok || err1 != nil || err2 != nil || from.Equal(to) {
		return fmt.Errorf("%q is not a part of the day: write two times, as in \"08:00-18:30\" or \"22:00-06:00\"", text)
	}
	*h = Hours{from: from.Hour()*60 + from.Minute(), to: to.Hour()*60 + to.Minute()}
	return nil
}

// MarshalText renders what UnmarshalText parses; nothing for the whole day.
func (h Hours) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// String renders what UnmarshalText parses; nothing for the whole day.
func (h Hours) String() string {
	if h == (Hours{}) {
		return ""
	}
	return fmt.Sprintf("%02d:%02d-%02d:%02d", h.from/60, h.from%60, h.to/60, h.to%60)
}

// Contains says whether a time is within them, by its own clock.
func (h Hours) Contains(t time.Time) bool {
	minute := t.Hour()*60 + t.Minute()
	switch {
	case h == Hours{}:
		return true
	case h.from < h.to:
		return h.from <= minute && minute < h.to
	}
	return minute >= h.from || minute < h.to
}

// Length is how much of a day they are.
func (h Hours) Length() time.Duration {
	const day = 24 * 60
	minutes := (h.to - h.from + day) % day
	if minutes == 0 {
		minutes = day
	}
	return time.Duration(minutes) * time.Minute
}
