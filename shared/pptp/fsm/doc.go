// Package fsm holds the state machines of PPTP (RFC 2637 section 3) as tables:
// the control connection and the four call machines (PAC and PNS, incoming and
// outgoing call).
//
// There are two tables, and no code decides what they could say. Rows has one
// row per control message: who may send it, which states admit it, whose Call
// ID finds the call, which reply is due, how long to wait for it and what its
// absence kills. Step looks up what an event does in a state: what to send,
// what to report, the next state. A pair without an entry is not legal: a
// message is ignored and counted, a command is refused.
//
//	PAC, incoming call                         PNS, incoming call
//	idle -Offer/ICRQ-> wait_reply              idle -ICRQ-> wait_decision
//	wait_reply -ICRP ok-> wait_cs_ans          wait_decision -Accept/ICRP-> wait_connect
//	wait_cs_ans -LineUp/ICCN-> established     wait_connect -ICCN-> established
//	any -HangUp/CDN-> idle                     established -Clear/CCRQ-> wait_disconnect
//	any -CCRQ-> wait_hang_up -HangUp/CDN->idle any -CDN-> idle
//
//	PAC, outgoing call                         PNS, outgoing call
//	idle -OCRQ-> wait_cs_ans                   idle -Request/OCRQ-> wait_reply
//	wait_cs_ans -LineUp/OCRP-> established     wait_reply -OCRP ok-> established
//	wait_cs_ans -Refuse/OCRP-> idle            wait_reply -OCRP else-> idle
//	established as above                       established as above
//
// The package is pure; its tables are never written to.
package fsm
