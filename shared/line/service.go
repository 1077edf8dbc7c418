package line

// Service is what a line can be told to do for its operator. The values are
// part of the contract.
type Service uint8

// Services. For each, the line goes down with CauseMaintenance, and comes up
// when it is done and the device works, or stays down and tells why it does not.
const (
	// ServiceReset starts the device from scratch, by the strongest means that
	// the driver has.
	ServiceReset Service = iota + 1
	// ServiceTest checks the device as when the line was opened.
	ServiceTest
	// ServiceBusyOut makes callers hear the line busy, or has the network pass
	// it over, and keeps it down until ServiceRestore, or another service, ends
	// that.
	ServiceBusyOut
	// ServiceRestore ends ServiceBusyOut; for a line that is down for another
	// reason it is ServiceTest.
	ServiceRestore
)

var serviceNames = [...]string{ServiceReset: "reset", ServiceTest: "test", ServiceBusyOut: "busy-out", ServiceRestore: "restore"}

// String returns the name of the service.
func (s Service) String() string { return enumName(serviceNames[:], int(s), "service") }

// Known says whether it is one of those above.
func (s Service) Known() bool { return int(s) < len(serviceNames) && serviceNames[s] != "" }
