// The conditions program: what an application sees of the conditions of a server.
//
//	conditions NAME…      for each queue name of condition_server: "NAME OUTCOME"
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
)

func use(ctx context.Context, client *azservicebus.Client, way, name string) error {
	if way == "settle" || way == "request" {
		receiver, err := client.NewReceiverForQueue(name, nil)
		if err != nil {
			return err
		}
		if way == "request" {
			_, err = receiver.PeekMessages(ctx, 1, nil)
			return err
		}
		messages, err := receiver.ReceiveMessages(ctx, 1, nil)
		if err != nil {
			return err
		}
		settling, cancel := context.WithTimeout(ctx, 2*time.Second) // it retries with seconds in between
		defer cancel()
		return receiver.CompleteMessage(settling, messages[0], nil)
	}
	sender, err := client.NewSender(name, nil)
	if err != nil {
		return err
	}
	return sender.SendMessage(ctx, &azservicebus.Message{Body: []byte("m")}, nil)
}

// The library's code, or the bare condition where it has none.
func describe(err error) string {
	var known *azservicebus.Error
	var bare *amqp.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &known):
		return string(known.Code)
	case errors.As(err, &bare):
		return string(bare.Condition)
	case errors.Is(err, context.DeadlineExceeded):
		return "retried"
	}
	return fmt.Sprintf("%T", err)
}

func outcome(name string) error {
	way, _, _ := strings.Cut(name, "--")
	retries := int32(-1)
	if way == "detach" || way == "close" { // what ends once is to be survived
		retries = 3
	}
	client, err := azservicebus.NewClientFromConnectionString(os.Getenv("SERVICEBUS"), &azservicebus.ClientOptions{
		RetryOptions: azservicebus.RetryOptions{MaxRetries: retries, RetryDelay: 100 * time.Millisecond}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	defer client.Close(ctx)
	return use(ctx, client, way, name)
}

func main() {
	for _, name := range os.Args[1:] {
		fmt.Println(name, describe(outcome(name)))
	}
}
