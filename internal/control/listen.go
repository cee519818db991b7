package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ampconnector/amp/internal/durable"
)

// ErrRunning is in the chain of the error of Listen when another daemon answers on the socket.
var ErrRunning = errors.New("another daemon is listening")

// Listen makes the socket and its folder. Anybody may connect, since who may ask what is decided by the credentials that the kernel gives
// (SO_PEERCRED, unix(7)). A socket that a dead daemon left is replaced.
func Listen(path string) (*net.UnixListener, error) {
	if err := durable.MakeFolder(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes a socket on which nobody listens. Anything else in its place stays and is an error.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s: expected a socket or nothing, found %s", path, st.Mode())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if conn, err := new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
		conn.Close()
		return fmt.Errorf("%s: %w", path, ErrRunning)
	}
	return os.Remove(path)
}
