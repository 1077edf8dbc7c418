// Package pns is the PPTP network server: control connections and PPP sessions on shards, admission, the admin API, call records.
package pns
