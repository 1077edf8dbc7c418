// Package at is the language of Hayes modems (ITU-T V.250 and what modems
// really say): it cuts what a modem says into lines, tells what each line
// means, reads caller identification and CONNECT reports, builds commands, and
// watches a data stream for the modem's own NO CARRIER.
//
// Only verbose results (V1) are understood; numeric codes mean different things
// with different makers and are recognised only as such. Nothing here has a
// clock, and no type is safe for concurrent use.
package at
