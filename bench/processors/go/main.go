// Command go is the processor of the shape single, written with the Go SDK, for orca bench --processor.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"io"
	"log"
	"math"
	"os"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

// epoch is when window 0 begins; each lasts a second.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// registered stands for no node: the processor has registered.
const registered = math.MaxUint32

// report tells whoever started this which node of which window has run, and when. A write to a pipe is whole.
func report(window int64, node uint32) error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(window))
	b = binary.LittleEndian.AppendUint32(b, node)
	_, err := os.Stdout.Write(binary.LittleEndian.AppendUint64(b, uint64(time.Now().UnixNano())))
	return err
}

func main() {
	core := flag.String("core", "", "register at `host:port`")
	name := flag.String("name", "", "as this processor")
	_ = flag.String("shape", "", "only single is served")
	flag.Parse()

	on := orca.WindowType{
		Name: "Single", Version: "1.0.0", Description: "A second of one asset",
		Fields: []orca.Field{{Name: "asset", Description: "The asset", Filter: true}},
	}
	proc := orca.NewProcessor(*name, orca.WithCore(*core), orca.WithListen("127.0.0.1:0"), orca.WithoutEnvironment())
	orca.Value(proc, "Single0", "1.0.0", on, func(_ context.Context, run *orca.Run) (float32, error) {
		return 1, report(int64(run.Window.From.Sub(epoch)/time.Second), 0)
	}, orca.Describe("One"))

	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	go func() {
		<-proc.Registered()
		if err := report(0, registered); err != nil {
			log.Fatal(err)
		}
	}()
	if err := proc.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
