package orca

import (
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
)

// ProcessorOption sets up a [Processor].
type ProcessorOption interface{ applyToProcessor(*processorConfig) }

// ClientOption sets up a [Client].
type ClientOption interface{ applyToClient(*clientConfig) }

// Option sets up a [Processor] or a [Client].
type Option interface {
	ProcessorOption
	ClientOption
}

// coreConfig is what a processor and a client both need to reach a core.
type coreConfig struct {
	core     string
	tls      *tls.Config
	token    string
	inClear  bool // the token may cross the network in plain text
	hermetic bool
	log      *slog.Logger // nil means slog.Default()
	dial     []grpc.DialOption
}

type processorConfig struct {
	coreConfig
	listen      string
	listener    net.Listener
	address     string
	project     string
	serverTLS   *tls.Config
	concurrency int
	drain       time.Duration
	silence     time.Duration // zero means heartbeatSilence; tests set it
}

type clientConfig struct {
	coreConfig
	timeout time.Duration
}

type option func(*coreConfig)

func (o option) applyToProcessor(c *processorConfig) { o(&c.coreConfig) }
func (o option) applyToClient(c *clientConfig)       { o(&c.coreConfig) }

type processorOption func(*processorConfig)

func (o processorOption) applyToProcessor(c *processorConfig) { o(c) }

type clientOption func(*clientConfig)

func (o clientOption) applyToClient(c *clientConfig) { o(c) }

// WithCore sets the core's address: host:port, grpc://host:port, or grpcs://host:port for TLS. Without it the
// environment variable ORCA_CORE says it, then orcaConnectionString of orca.json in the working directory, then it is
// 127.0.0.1:33670.
func WithCore(address string) Option {
	return option(func(c *coreConfig) { c.core = address })
}

// WithTLS uses TLS towards the core, with this configuration; an empty one trusts the system's authorities. Without
// it TLS is used for a grpcs:// address, and where ORCA_ENV (or, if that is not set, ENV) is "production".
func WithTLS(config *tls.Config) Option {
	return option(func(c *coreConfig) { c.tls = config })
}

// WithToken shows this token to the core with every call, as one that was started with a token wants it. Without it, and
// for the empty text, the environment variable ORCA_TOKEN says it, then the file that ORCA_TOKEN_FILE names.
//
// A token is a secret: it is sent over TLS, or to a core on this machine. For any other core it is an error of kind
// [ErrInvalid], unless [WithTokenInClear] insists.
func WithToken(token string) Option {
	return option(func(c *coreConfig) { c.token = token })
}

// WithTokenInClear sends the token even where whoever listens on the network can read it: without TLS, to a core on
// another machine.
func WithTokenInClear() Option {
	return option(func(c *coreConfig) { c.inClear = true })
}

// WithLogger sets where the SDK writes what nobody is returned: registrations, warnings of the core, retries, failed
// executions. Without it, and for nil, it is slog.Default().
func WithLogger(log *slog.Logger) Option {
	return option(func(c *coreConfig) { c.log = log })
}

// WithDialOptions adds gRPC options to the connection to the core, such as credentials or interceptors.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return option(func(c *coreConfig) { c.dial = append(c.dial, opts...) })
}

// WithoutEnvironment ignores the environment variables and orca.json: only options and defaults count.
func WithoutEnvironment() Option {
	return option(func(c *coreConfig) { c.hermetic = true })
}

// WithListen sets where the processor listens, as host:port; port 0 takes a free one. Without it the port is that of
// PROCESSOR_PORT, then processorPort of orca.json, then that of the announced address, then 5377; the host is
// 127.0.0.1 unless an address beyond this machine is announced, and then all interfaces.
func WithListen(address string) ProcessorOption {
	return processorOption(func(c *processorConfig) { c.listen = address })
}

// WithListener serves on a listener that is open already. Run closes it.
func WithListener(listener net.Listener) ProcessorOption {
	return processorOption(func(c *processorConfig) { c.listener = listener })
}

// WithAddress sets the address at which the core reaches the processor: host:port, or grpcs://host:port where
// something in front of it speaks TLS. Port 0 means the port that it listens on. Without it the address is that of
// PROCESSOR_ADDRESS, or of PROCESSOR_HOST with PROCESSOR_EXTERNAL_PORT, then processorConnectionString of orca.json,
// then where it listens.
func WithAddress(address string) ProcessorOption {
	return processorOption(func(c *processorConfig) { c.address = address })
}

// WithProject sets the project that the processor belongs to. Without it PROJECT_NAME says it, then projectName of
// orca.json; it may stay unsaid.
func WithProject(name string) ProcessorOption {
	return processorOption(func(c *processorConfig) { c.project = name })
}

// WithServerTLS serves TLS with this configuration, which must hold a certificate, and announces a grpcs:// address.
func WithServerTLS(config *tls.Config) ProcessorOption {
	return processorOption(func(c *processorConfig) { c.serverTLS = config })
}

// WithConcurrency bounds how many algorithms run at once. Without it, and for less than 1, it is 32, or four times
// the number of CPUs if that is more. What comes beyond waits its turn.
func WithConcurrency(n int) ProcessorOption {
	return processorOption(func(c *processorConfig) { c.concurrency = n })
}

// WithDrain sets how long Run waits, after its context is cancelled, for the algorithms that are running. Without it,
// and for zero, it is 30 seconds. What is cut off is executed again by the core.
func WithDrain(limit time.Duration) ProcessorOption {
	return processorOption(func(c *processorConfig) { c.drain = limit })
}

// WithTimeout sets for how long a call whose context has no deadline is tried. Without it, and for zero, it is 30
// seconds. [Client.Wait] is not bound by it.
func WithTimeout(limit time.Duration) ClientOption {
	return clientOption(func(c *clientConfig) { c.timeout = limit })
}

func (c coreConfig) logger() *slog.Logger {
	if c.log != nil {
		return c.log
	}
	return slog.Default()
}
