package selftest

import "fmt"

// Grade is the judgement of a test call, as it was at one of its ends.
type Grade string

// The grades. A call that was not carried out has none.
const (
	Good   Grade = "good"
	Poor   Grade = "poor"   // it came about, but a caller would suffer
	Failed Grade = "failed" // a caller could not use it
)

const (
	// poorShare is the share of frames, one in so many, that may be lost or damaged on a good line.
	poorShare = 100
	// failedShare is the share of frames, one in so many, without which PPP does not come about.
	failedShare = 2
)

// Passes says whether a grade is at least as good as another; no grade never is.
func (g Grade) Passes(least Grade) bool { return g == Good || g == Poor && least != Good }

// Known says whether there is such a grade.
func (g Grade) Known() bool { return g == Good || g == Poor || g == Failed }

// Lost are the frames that did not arrive whole, and their octets.
func Lost(sent, received Counters) (frames, octets uint64) {
	return sent.FramesSent - min(received.FramesReceived, sent.FramesSent), sent.OctetsSent - min(received.OctetsReceived, sent.OctetsSent)
}

// Judge grades what arrived at one end of a call of what the other end sent. least is the speed, in bit/s, below which a call is poor; 0:
// none. The reason is empty for a good one.
func Judge(sent, received Counters, speed, least uint32) (Grade, string) {
	missing, _ := Lost(sent, received)
	switch {
	case sent.FramesSent == 0:
		return Failed, "nothing could be sent"
	case received.FramesReceived == 0:
		return Failed, fmt.Sprintf("none of %d frames arrived", sent.FramesSent)
	case missing*failedShare >= sent.FramesSent:
		return Failed, fmt.Sprintf("%d of %d frames did not arrive whole", missing, sent.FramesSent)
	case missing*poorShare >= sent.FramesSent:
		return Poor, fmt.Sprintf("%d of %d frames did not arrive whole", missing, sent.FramesSent)
	case received.Damaged*poorShare >= sent.FramesSent:
		return Poor, fmt.Sprintf("%d frames beside the %d sent arrived damaged", received.Damaged, sent.FramesSent)
	case least > 0 && speed < least:
		return Poor, fmt.Sprintf("connected at %d bit/s, below %d", speed, least)
	}
	return Good, ""
}
