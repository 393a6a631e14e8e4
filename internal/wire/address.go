package wire

import (
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxHost is the longest host name, in bytes: that of DNS, with room for an IPv6 zone.
const maxHost = 255

const goodAddress = `write host:port, such as "10.0.0.7:5377" or "grpc://worker:5377", with "grpcs://" for TLS`

// Address returns what to dial for a connection string: its host:port without the scheme. "grpc://" and no scheme at
// all mean plain text, "grpcs://" asks for TLS. The address is otherwise left as it is written, since it is the
// identity of a processor's instance.
func Address(connection string) (address string, tls bool, err error) {
	address, tls = cutScheme(connection)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", false, refuse("", "%s is not an address: %s", quote(connection), goodAddress)
	}
	if problem := checkHost(host); problem != "" {
		return "", false, refuse("", "%s %s: %s", quote(connection), problem, goodAddress)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", false, refuse("", "%s has no port between 1 and 65535: %s", quote(connection), goodAddress)
	}
	return address, tls, nil
}

func cutScheme(connection string) (rest string, tls bool) {
	scheme, rest, found := strings.Cut(connection, "://")
	switch {
	case !found:
		return connection, false
	case strings.EqualFold(scheme, "grpc"):
		return rest, false
	case strings.EqualFold(scheme, "grpcs"):
		return rest, true
	}
	return connection, false // what is left of another scheme is no address, and the refusal shows it
}

// checkHost says what is wrong with a host; empty when nothing is.
func checkHost(host string) string {
	if host == "" {
		return "has no host"
	}
	if len(host) > maxHost {
		return "has a host of more than 255 bytes"
	}
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == utf8.RuneError || strings.ContainsRune(`/\@?#"`, r)
	}
	if strings.ContainsFunc(host, bad) {
		return "has a host with characters that no host has"
	}
	return ""
}
