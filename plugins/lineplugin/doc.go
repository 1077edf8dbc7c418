// Package lineplugin runs line drivers (shared/line) as processes of their own, over hashicorp/go-plugin and gRPC.
//
// Serve is the main function of a driver's process; Load starts one and returns it as a line.Driver that is interchangeable with the
// driver itself. A Supervised driver outlives its process: when that dies or hangs, its calls end with CauseDriver, its lines are
// down with CauseDriver, and they come up again when a new process has opened them.
//
// With Keep a process outlives its host: the next one takes it over with each line in the state it is in.
//
// On one machine the boundary is a Unix socket in a directory that only its owner can enter, and the driver checks who connects
// (SO_PEERCRED). There is no TLS: go-plugin's AutoMTLS cannot be combined with taking over a driver that outlived its host.
//
// Octets travel apart from events and commands: one stream for all lines of a driver, batched, with credits per line, so that a line
// that stalls holds up no other.
package lineplugin

//go:generate protoc --go_out=../.. --go_opt=module=trunkline.example --go-grpc_out=../.. --go-grpc_opt=module=trunkline.example linepb/line.proto
