// The traffic program: ordinary code with the library's ordinary retries, while the server restarts under it.
//
//	traffic QUEUE COUNT      prints "sent N" and "received N" as it goes
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

func run(queue string, count int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 400*time.Second)
	defer cancel()
	// The default first wait of 4 s is only long.
	options := &azservicebus.ClientOptions{RetryOptions: azservicebus.RetryOptions{RetryDelay: 200 * time.Millisecond}}
	client, err := azservicebus.NewClientFromConnectionString(os.Getenv("SERVICEBUS"), options)
	if err != nil {
		return err
	}
	defer client.Close(ctx)
	sender, err := client.NewSender(queue, nil)
	if err != nil {
		return err
	}
	for number := range count {
		if err := sender.SendMessage(ctx, &azservicebus.Message{Body: []byte(strconv.Itoa(number))}, nil); err != nil {
			return fmt.Errorf("sending %d: %w", number, err)
		}
		fmt.Println("sent", number+1)
		time.Sleep(5 * time.Millisecond)
	}
	receiver, err := client.NewReceiverForQueue(queue, nil)
	if err != nil {
		return err
	}
	for seen := map[string]bool{}; len(seen) < count; {
		messages, err := receiver.ReceiveMessages(ctx, 10, nil)
		if err != nil {
			return fmt.Errorf("receiving, %d so far: %w", len(seen), err)
		}
		for _, message := range messages {
			seen[string(message.Body)] = true
			_ = receiver.CompleteMessage(ctx, message, nil) // a lock that the restart ended: the message comes again
		}
		fmt.Println("received", len(seen))
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

func main() {
	count, _ := strconv.Atoi(os.Args[2])
	if err := run(os.Args[1], count); err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
}
