// Package loop is what an event loop is made of that owns thousands of connections: a Poller that waits for all descriptors at the
// cost of one, and Deadlines, a heap that stands for one timer each. A loop is one goroutine; nothing here but Poller.Wake may be used
// by another. Watch is what a Poller waits by, and who reads a few busy descriptors.
package loop
