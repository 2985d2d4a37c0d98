// Three FDO services on top of the library go-fdo, each a process of its own: manufacturer, rendezvous and owner. They
// are what Firstlight's device talks to in the interoperability run where go-fdo-server lacks what the library has: an
// owner's key of RSA 3072. What they keep, they keep in memory.
//
// FDO is spoken under /fdo/101/msg; the test drives the rest of the paths. The first line on standard output is the URL.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/fido-device-onboard/go-fdo/protocol"
)

// A request of the test is a voucher, a key or a plan.
const requestLimit = 1 << 20

func main() {
	if len(os.Args) < 2 {
		fail("say: peer manufacturer|rendezvous|owner [flags]")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	rendezvous := flags.String("rendezvous", "", "where devices look for their owner (manufacturer)")
	lifetime := flags.Duration("lifetime", 15*time.Minute, "it stops by itself after this time")
	_ = flags.Parse(os.Args[2:])
	time.AfterFunc(*lifetime, func() { fail("the lifetime is over") })

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	mux := http.NewServeMux()
	switch os.Args[1] {
	case "manufacturer":
		check(manufacturer(mux, *rendezvous))
	case "rendezvous":
		rendezvousService(mux)
	case "owner":
		check(owner(mux, listener.Addr().(*net.TCPAddr)))
	default:
		fail("there is no service " + os.Args[1])
	}
	fmt.Printf("http://%s\n", listener.Addr())
	check(http.Serve(listener, mux))
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	slog.Error(why)
	os.Exit(1)
}

// route answers with what the function gives, or with 400 and its error.
func route(mux *http.ServeMux, pattern string, answer func(guid protocol.GUID, body []byte) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestLimit))
		var guid protocol.GUID
		if text := r.PathValue("guid"); err == nil && text != "" {
			guid, err = parseGUID(text)
		}
		var value any
		if err == nil {
			value, err = answer(guid, body)
		}
		if err != nil {
			slog.Error(pattern, "error", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if text, ok := value.([]byte); ok {
			_, _ = w.Write(text)
			return
		}
		_ = json.NewEncoder(w).Encode(value)
	})
}
