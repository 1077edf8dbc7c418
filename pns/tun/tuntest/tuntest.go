// Package tuntest is a TUN interface in memory: two channels of packets. It works in testing/synctest.
package tuntest
