package torture

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// A network carries both ways; it carries nothing while it is silent and everything afterwards; and it ends what it
// carries when it is cut, and takes nothing new until that is over.
func TestProxy(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = echo.Close() })
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c) // until either side ends
				_ = c.Close()
			}()
		}
	}()
	p, err := newProxy("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	p.lead(echo.Addr().String())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.run(ctx); close(ended) }()

	c := dialed(t, p)
	said(t, c, "one", true)
	p.set(Late)
	said(t, c, "two", true)
	p.set(Silent)
	if _, err := c.Write([]byte("three")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a silent network carried %d bytes", n)
	}
	p.set("")
	heard(t, c, "three", true)
	p.set(Cut)
	heard(t, c, "x", false)
	said(t, dialed(t, p), "four", false)
	p.set("")
	said(t, dialed(t, p), "five", true)
	stop()
	<-ended
}

func dialed(t *testing.T, p *proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// said sends a text and checks whether it comes back.
func said(t *testing.T, c net.Conn, text string, back bool) {
	t.Helper()
	_, _ = c.Write([]byte(text)) // what does not come back tells
	heard(t, c, text, back)
}

func heard(t *testing.T, c net.Conn, text string, comes bool) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); (err == nil && string(got) == text) != comes {
		t.Errorf("it gave %q and %v, want %q: %t", got, err, text, comes)
	}
}
