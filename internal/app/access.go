package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/orca-telemetry/orca/internal/config"
)

// access is what it takes to get in.
type access struct {
	// tls is nil when it is not spoken.
	tls *tls.Config
	// authorize says why a request with this authorization header may not pass; nil when all may.
	authorize func(authorization string) error
}

func newAccess(cfg config.Config, log *slog.Logger) (a access, err error) {
	token := cfg.Token
	if cfg.TokenFile != "" {
		if token, err = config.ReadToken(cfg.TokenFile); err != nil {
			return access{}, err
		}
	}
	if token != "" {
		a.authorize = token.Authorize
	}
	if cfg.TLSCert == "" {
		return a, nil
	}
	c := &certificate{certFile: cfg.TLSCert, keyFile: cfg.TLSKey, log: log}
	if err := c.read(); err != nil {
		return access{}, err
	}
	a.tls = &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}
	return a, nil
}

// overTLS returns a listener that speaks TLS, for HTTP, on l.
func (a access) overTLS(l net.Listener) net.Listener {
	if a.tls == nil {
		return l
	}
	c := a.tls.Clone()
	c.NextProtos = []string{"h2", "http/1.1"}
	return tls.NewListener(l, c)
}

// certificate is a certificate and its key on disk, read again once they have changed.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	files   [2]os.FileInfo // as they were before they were last read
	current *tls.Certificate
}

// get returns the certificate for a handshake. While what is on disk does not do, such as a new certificate whose key
// is still to come, it is the one before.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.changed() {
		return c.current, nil
	}
	if err := c.read(); err != nil {
		c.log.Warn("the new TLS certificate cannot be used; the one before stays", "error", err)
	} else {
		c.log.Info("read the new TLS certificate", "expires", c.current.Leaf.NotAfter)
	}
	return c.current, nil
}

// changed looks at the files' names, sizes, modes and times alone, which costs little next to a handshake.
func (c *certificate) changed() bool {
	for i, name := range []string{c.certFile, c.keyFile} {
		now, err := os.Stat(name)
		before := c.files[i]
		if err != nil {
			return false // it is being replaced, or gone: what was read holds
		}
		if before == nil || !os.SameFile(before, now) || before.Size() != now.Size() || before.Mode() != now.Mode() ||
			!before.ModTime().Equal(now.ModTime()) {
			return true
		}
	}
	return false
}

// read reads both files. It notes how they were first, so that a change while it reads is seen the next time.
func (c *certificate) read() error {
	var content [2][]byte
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return c.wrong(err)
		}
		c.files[i] = info
		if content[i], err = os.ReadFile(name); err != nil {
			return c.wrong(err)
		}
	}
	pair, err := tls.X509KeyPair(content[0], content[1])
	if err != nil {
		return c.wrong(err)
	}
	c.current = &pair
	return nil
}

func (c *certificate) wrong(err error) error {
	return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.certFile, c.keyFile, err)
}
