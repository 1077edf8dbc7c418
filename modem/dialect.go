package modem

import (
	"trunkline.example/modem/at"
	"trunkline.example/modem/profile"
	"trunkline.example/shared/line"
)

// Dialect is what tells one kind of equipment that speaks AT from another: modems, or terminal adapters.
type Dialect struct {
	Name         string // of the driver
	Noun         string // for people: "a modem"
	Families     func() profile.Set
	Bearers      line.Bearer // that every line has
	CalledNumber bool        // the equipment may tell which number was called
	AssumedSpeed uint32      // of the line if the equipment does not tell, bits per second
	SlowestSpeed uint32      // that any line may have, bits per second
	FastestSpeed uint32      //

	// Connected completes what is told of a connection, whose bearer is not known yet; protocol is what the equipment was told to speak, "" if it was not told.
	Connected func(said at.Connection, protocol string, told *line.Connected)
	// Q850 finds the cause of ITU-T Q.850 in a result; 0: it has none.
	Q850 func(result string) uint8
}

// Analog is the dialect of modems.
var Analog = &Dialect{
	Name: Name, Noun: "a modem", Families: profile.Builtin, Bearers: line.BearerAnalog, AssumedSpeed: 33600, SlowestSpeed: 300, FastestSpeed: 56000,
	Connected: func(_ at.Connection, _ string, c *line.Connected) { c.Bearer = line.BearerAnalog },
	Q850:      func(string) uint8 { return 0 },
}
