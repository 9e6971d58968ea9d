// sinkclient reads a secret again and again by Vault's own Go client, with the token that a file holds at that moment, until
// it is told to stop; then it prints "READS ERRORS TOKENS". Each error goes to standard error.
//
//	sinkclient ADDRESS TOKEN_FILE PATH PAUSE
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/vault/api"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: sinkclient ADDRESS TOKEN_FILE PATH PAUSE")
		os.Exit(64)
	}
	pause, err := time.ParseDuration(os.Args[4])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	config := api.DefaultConfig()
	config.Address = os.Args[1]
	config.MaxRetries = 0 // an error is an error
	client, err := api.NewClient(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	reads, errors := 0, 0
	tokens := map[string]bool{}
	for {
		select {
		case <-stop:
			fmt.Println(reads, errors, len(tokens))
			return
		case <-time.After(pause):
		}
		token, err := os.ReadFile(os.Args[2])
		if err == nil {
			client.SetToken(string(bytes.TrimSpace(token)))
			var secret *api.Secret
			secret, err = client.Logical().Read(os.Args[3])
			if err == nil && (secret == nil || secret.Data["data"] == nil) {
				err = fmt.Errorf("no data")
			}
			tokens[string(token)] = true
		}
		reads++
		if err != nil {
			errors++
			fmt.Fprintln(os.Stderr, time.Now().Format(time.RFC3339Nano), err)
		}
	}
}
