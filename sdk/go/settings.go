package orca

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

const (
	defaultCore          = "127.0.0.1:33670"
	defaultProcessorPort = 5377
	projectFile          = "orca.json"
)

// surroundings are what settings come from when no option gives them.
type surroundings struct {
	env  func(name string) string
	file project
}

// project is the file orca.json.
type project struct {
	Name             string          `json:"projectName"`
	Core             string          `json:"orcaConnectionString"`
	ProcessorPort    json.RawMessage `json:"processorPort"` // a number or a string
	ProcessorAddress string          `json:"processorConnectionString"`
}

// look reads the environment and orca.json, unless nothing but options counts.
func look(hermetic bool) (surroundings, error) {
	if hermetic {
		return surroundings{env: func(string) string { return "" }}, nil
	}
	around := surroundings{env: os.Getenv}
	text, err := os.ReadFile(projectFile)
	if errors.Is(err, fs.ErrNotExist) {
		return around, nil
	}
	if err != nil {
		return around, fmt.Errorf("project file: %w", err)
	}
	if err := json.Unmarshal(text, &around.file); err != nil {
		return around, invalid("project file %s: %v", projectFile, err)
	}
	return around, nil
}

func (p project) port() string { return strings.Trim(string(p.ProcessorPort), `"`) }

// first returns the first of the texts that says something.
func first(texts ...string) string {
	for _, text := range texts {
		if text != "" && text != "null" {
			return text
		}
	}
	return ""
}

// endpoint is an address as users write it, taken apart.
type endpoint struct {
	host string
	port int
	tls  bool // grpcs://
}

func parseEndpoint(what, text string) (endpoint, error) {
	rest, secure := strings.CutPrefix(text, "grpcs://")
	if !secure {
		rest = strings.TrimPrefix(rest, "grpc://")
	}
	host, port, err := net.SplitHostPort(strings.TrimSuffix(rest, "/"))
	if err != nil || strings.Contains(rest, "://") {
		return endpoint{}, invalid("%s %q: must be host:port, grpc://host:port or grpcs://host:port", what, text)
	}
	n, err := parsePort(what, port)
	return endpoint{host: host, port: n, tls: secure}, err
}

func parsePort(what, text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, invalid("%s: port %q must be a number from 0 to 65535", what, text)
	}
	return int(n), nil
}

func (e endpoint) hostPort() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

func (e endpoint) String() string {
	if e.tls {
		return "grpcs://" + e.hostPort()
	}
	return e.hostPort()
}

// local says whether only this machine can reach it.
func (e endpoint) local() bool {
	ip, err := netip.ParseAddr(e.host)
	return e.host == "localhost" || err == nil && ip.IsLoopback()
}

// coreSettings say how to reach the core.
type coreSettings struct {
	core  endpoint
	tls   bool
	token string // empty means none
}

func (c coreConfig) resolve(around surroundings) (coreSettings, error) {
	text := first(c.core, around.env("ORCA_CORE"), around.file.Core, defaultCore)
	core, err := parseEndpoint("core address", text)
	if err == nil && core.port == 0 {
		err = invalid("core address %q: the port must not be 0", text)
	}
	if err != nil {
		return coreSettings{}, err
	}
	production := first(around.env("ORCA_ENV"), around.env("ENV")) == "production"
	s := coreSettings{core: core, tls: core.tls || c.tls != nil || production}
	s.token, err = c.secret(around)
	if err == nil && s.token != "" && !s.tls && !core.local() && !c.inClear {
		err = invalid("token for the core at %s: it would cross the network in plain text; use TLS (a grpcs:// address or"+
			" WithTLS), or insist with WithTokenInClear", core)
	}
	return s, err
}

// processorSettings say where to listen and what to announce.
type processorSettings struct {
	coreSettings
	project string
	listen  string
	address *endpoint // nil means where it listens
}

func (c processorConfig) resolve(around surroundings) (processorSettings, error) {
	core, err := c.coreConfig.resolve(around)
	if err != nil {
		return processorSettings{}, err
	}
	s := processorSettings{
		coreSettings: core,
		project:      first(c.project, around.env("PROJECT_NAME"), around.file.Name),
		listen:       c.listen,
	}
	if text := c.announced(around); text != "" {
		address, err := parseEndpoint("processor address", text)
		if err != nil {
			return s, err
		}
		s.address = &address
	}
	if s.listen == "" {
		s.listen, err = defaultListen(around, s.address)
	}
	return s, err
}

// announced returns the address that the options, the environment or orca.json give, in this order.
func (c processorConfig) announced(around surroundings) string {
	host, port := around.env("PROCESSOR_HOST"), around.env("PROCESSOR_EXTERNAL_PORT")
	var parts string
	if host != "" || port != "" {
		parts = net.JoinHostPort(first(host, "127.0.0.1"),
			first(port, around.env("PROCESSOR_PORT"), strconv.Itoa(defaultProcessorPort)))
	}
	return first(c.address, around.env("PROCESSOR_ADDRESS"), parts, around.file.ProcessorAddress)
}

// defaultListen opens all interfaces only for a processor that is to be reached from elsewhere.
func defaultListen(around surroundings, address *endpoint) (string, error) {
	listen := endpoint{host: "127.0.0.1", port: defaultProcessorPort}
	if address != nil {
		if !address.local() {
			listen.host = ""
		}
		if address.port != 0 {
			listen.port = address.port
		}
	}
	if text := first(around.env("PROCESSOR_PORT"), around.file.port()); text != "" {
		port, err := parsePort("processor port", text)
		if err != nil {
			return "", err
		}
		listen.port = port
	}
	return listen.hostPort(), nil
}

// announce returns the address for the registration, once the processor listens.
func (s processorSettings) announce(listening net.Addr, serverTLS bool) endpoint {
	bound, err := parseEndpoint("listener", listening.String())
	if err != nil {
		bound = endpoint{host: listening.String()} // not TCP: the user's own listener, whose address must be given
	}
	address := bound
	if s.address != nil {
		address = *s.address
		if address.port == 0 {
			address.port = bound.port
		}
	} else if ip, err := netip.ParseAddr(address.host); err == nil && ip.IsUnspecified() {
		address.host = "127.0.0.1"
	}
	address.tls = address.tls || serverTLS
	return address
}
