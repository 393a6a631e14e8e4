// Package loopback is for tests and trials: addresses of this machine alone.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// OwnHost returns an address of this machine alone that hardly anybody else has. Who stops and listens again on the port
// that it had finds it free there, while on 127.0.0.1 any connection may have taken it; and who goes on asking where
// somebody was is not answered by others who came to listen there.
func OwnHost() string {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	l, err := net.Listen("tcp", host+":0")
	if err != nil { // not every system has all of 127.0.0.0/8
		return "127.0.0.1"
	}
	_ = l.Close() // it was only tried
	return host
}
