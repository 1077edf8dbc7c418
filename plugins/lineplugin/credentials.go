package lineplugin

import (
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
)

// sameUser are transport credentials for Unix sockets: only processes of our own user (or root) may connect.
type sameUser struct{}

type sameUserInfo struct{ credentials.CommonAuthInfo }

func (sameUserInfo) AuthType() string { return "peercred" }

func (sameUser) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, nil, fmt.Errorf("lineplugin: %T is not a Unix socket", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return nil, nil, err
	}
	if credErr != nil {
		return nil, nil, credErr
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Getuid() {
		return nil, nil, fmt.Errorf("lineplugin: user %d may not use the driver of user %d", cred.Uid, os.Getuid())
	}
	return c, sameUserInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}, nil
}

func (sameUser) ClientHandshake(_ context.Context, _ string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c, sameUserInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}, nil
}

func (sameUser) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "peercred"}
}
func (sameUser) Clone() credentials.TransportCredentials { return sameUser{} }
func (sameUser) OverrideServerName(string) error         { return nil }
