// A server that is activated as systemd activates it (LISTEN_FDS), binds by itself otherwise, and stops
// gracefully at SIGTERM, all with Go's standard library.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func listener() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	}
	file := os.NewFile(3, "listener")
	defer file.Close()
	return net.FileListener(file)
}

func main() {
	listener, err := listener()
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello\n")
	})}
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	stopped := make(chan struct{})
	go func() {
		<-stop.Done()
		deadline, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		server.Shutdown(deadline)
		close(stopped)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-stopped
}
