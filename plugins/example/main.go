// Command cable is a line driver for pac in a module of its own: an example to start from, and of use where a computer or an emulator is
// joined by a direct cable instead of a telephone line. Its cables end in TCP or Unix sockets, as those of QEMU, VirtualBox, 86Box and socat do.
//
// Windows calls this "communications cable between two computers": the caller sends CLIENT until it reads CLIENTSERVER, and then PPP begins.
//
//	[[driver]]
//	name = "cables"
//	kind = "cable"
//	command = ["/usr/local/lib/trunkline/cable"]
//	[[driver.options.line]]
//	name = "cable1"
//	listen = "unix:/run/trunkline/cable1"
package main

import "trunkline.example/plugins/lineplugin"

func main() { lineplugin.Serve(Driver{}) }
