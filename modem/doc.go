// Package modem is the driver for modems that speak the AT language, over any
// port.Port. It implements shared/line.
//
// One goroutine per line, the owner, holds the dialogue with the modem and all
// of the line's state; a second one does nothing but read the port. The owner
// is written as a dialogue: it says something, waits for lines, and handles
// what arrives meanwhile (RING, commands of the host, shutdown) at one place,
// block. What the host writes goes to the port from the host's own goroutine,
// and the owner can stop that at any moment.
//
// A call that has ended leaves the line releasing until the modem has been
// brought back to command state, on hook, and has answered a command: by ATH if
// it is known to be in command state, else by dropping DTR or
// by speed 0, by the guarded escape sequence if that is enabled, by closing and
// opening the device, and at last by the recovery ladder. A modem that answers nothing after all that is
// taken out of service, and tried again at growing intervals.
package modem
