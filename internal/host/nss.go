package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrDirectoryService is the Err of a Reading about an account that lives in a directory service (LDAP, sssd) and of which
// the service tells no more.
var ErrDirectoryService = errors.New("kept by a directory service, which does not tell")

// FromNSS is the From of what only the name service knows.
const FromNSS = "nss"

// getentNotFound is getent(1)'s exit status for "not found".
const getentNotFound = 2

// asker asks the name service for a key of a database; a nil record is "not found".
type asker func(database, key string) ([]byte, error)

// getent asks the C library's name service: it loads modules (sssd, ldap), which a static program cannot. Options come before the database.
func getent(ctx context.Context, r Root, database, key string, options ...string) ([]byte, error) {
	if !r.Live() {
		return nil, fmt.Errorf("getent %s %s: %w", database, key, ErrNotRunning)
	}
	out, status, err := ask(ctx, r, "getent", append(options, database, key)...)
	switch {
	case err != nil:
		return nil, err
	case status == getentNotFound:
		return nil, nil
	case status != 0:
		return nil, fmt.Errorf("getent %s %s: exit status %d", database, key, status)
	}
	return bytes.TrimSpace(out), nil
}

// nssRecord asks for one name and parses the answer with the parser of the database's file.
func nssRecord[T any](ask asker, database, key string, parse func(string, []byte) (Records[T], error)) (*T, error) {
	line, err := ask(database, key)
	if err != nil || line == nil {
		return nil, err
	}
	rs, err := parse(FromNSS, line)
	if err != nil {
		return nil, err
	}
	if len(rs.List) == 0 {
		return nil, fmt.Errorf("getent %s %s: %w answer", database, key, ErrMalformed)
	}
	return &rs.List[0], nil
}

// initgroups asks for all gids of a user: "name  10 20 30".
func initgroups(ask asker, user string) ([]uint32, error) {
	line, err := ask("initgroups", user)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(line))
	var gids []uint32
	for _, f := range fields[min(1, len(fields)):] {
		n, err := strconv.ParseUint(f, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("getent initgroups %s: %w answer: %q is no gid", user, ErrMalformed, f)
		}
		gids = append(gids, uint32(n))
	}
	return gids, nil
}
