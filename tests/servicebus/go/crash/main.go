// The crash program: traffic that says exactly what the server has confirmed, while somebody kills the server.
//
//	crash traffic QUEUE SENDERS RECEIVERS    until standard input ends
//	crash drain QUEUE COUNT                  takes and deletes so many, and whatever comes after them
//
// Lines on standard output, one event each, written the moment the call returned:
//
//	sent ID | send-doubt ID | completed ID | complete-doubt ID | left ID
//
// The library must not retry sends: a repeated one would be a second message, and a doubt that is not told.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

var (
	output = bufio.NewWriter(os.Stdout)
	mutex  sync.Mutex
)

func say(event, id string) {
	mutex.Lock()
	defer mutex.Unlock()
	fmt.Fprintln(output, event, id)
	output.Flush()
}

func connect() *azservicebus.Client {
	options := &azservicebus.ClientOptions{RetryOptions: azservicebus.RetryOptions{MaxRetries: -1}}
	client, err := azservicebus.NewClientFromConnectionString(os.Getenv("SERVICEBUS"), options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return client
}

// again calls `work` with a fresh client until the context ends; `work` returns when its connection is lost.
func again(ctx context.Context, work func(*azservicebus.Client)) {
	for ctx.Err() == nil {
		client := connect()
		work(client)
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = client.Close(closing) // the server may be gone
		cancel()
		select { // a dead port answers at once
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func send(ctx context.Context, queue string, number int) {
	next := 0
	again(ctx, func(client *azservicebus.Client) {
		sender, err := client.NewSender(queue, nil)
		for err == nil && ctx.Err() == nil {
			id := fmt.Sprintf("%d-%d", number, next)
			next++
			call, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			err = sender.SendMessage(call, &azservicebus.Message{Body: []byte(id), MessageID: &id}, nil)
			cancel()
			if err == nil {
				say("sent", id)
			} else {
				say("send-doubt", id)
			}
		}
	})
}

func receive(ctx context.Context, queue string) {
	again(ctx, func(client *azservicebus.Client) {
		receiver, err := client.NewReceiverForQueue(queue, nil)
		for err == nil && ctx.Err() == nil {
			var messages []*azservicebus.ReceivedMessage
			messages, err = receiver.ReceiveMessages(ctx, 20, nil)
			for _, message := range messages {
				// The library retries this call whatever the options say, with seconds in between.
				call, cancel := context.WithTimeout(context.Background(), time.Second)
				err = receiver.CompleteMessage(call, message, nil)
				cancel()
				if err != nil {
					say("complete-doubt", message.MessageID)
					break // the lock of the others went with the connection
				}
				say("completed", message.MessageID)
			}
		}
	})
}

func traffic(queue string, senders, receivers int) {
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for number := range senders {
		all.Add(1)
		go func() { defer all.Done(); send(ctx, queue, number) }()
	}
	for range receivers {
		all.Add(1)
		go func() { defer all.Done(); receive(ctx, queue) }()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	all.Wait()
}

func drain(queue string, count int) error {
	client := connect()
	options := &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete}
	receiver, err := client.NewReceiverForQueue(queue, options)
	for err == nil {
		patience := 3 * time.Second // for more than there should be
		if count > 0 {
			patience = 300 * time.Second
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		var messages []*azservicebus.ReceivedMessage
		messages, err = receiver.ReceiveMessages(ctx, 500, nil)
		cancel()
		for _, message := range messages {
			say("left", message.MessageID)
		}
		count -= len(messages)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func main() {
	if os.Args[1] == "drain" {
		count, _ := strconv.Atoi(os.Args[3])
		if err := drain(os.Args[2], count); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	senders, _ := strconv.Atoi(os.Args[3])
	receivers, _ := strconv.Atoi(os.Args[4])
	traffic(os.Args[2], senders, receivers)
}
