// The suite program: every message operation of azservicebus against the server that the environment names.
//
//	suite [CASE…]      one line per case, then a summary; the exit code says whether all passed
//
// Each case has a queue of its own name, so they run side by side.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
	"github.com/coder/websocket"

	"jobmill.test/servicebus/check"
)

// The time a receive waits for what must not come, what must come, and the queues' short lock.
const (
	quiet     = time.Second
	long      = 60 * time.Second
	shortLock = 10 * time.Second
)

type t = check.T

func connect(t *t, variable string) *azservicebus.Client { return connectWith(t, variable, 3) }

// A client that reports the first refusal instead of trying again.
func connectOnce(t *t, variable string) *azservicebus.Client { return connectWith(t, variable, -1) }

func connectWith(t *t, variable string, retries int32) *azservicebus.Client {
	options := &azservicebus.ClientOptions{
		RetryOptions: azservicebus.RetryOptions{MaxRetries: retries},
		// With a port in the connection string this client looks for "localhost:5671" in the certificate.
		TLSConfig: &tls.Config{ServerName: "localhost"},
	}
	if os.Getenv("SERVICEBUS_TRANSPORT") == "websocket" {
		options.NewWebSocketConn = func(ctx context.Context, args azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
			socket, _, err := websocket.Dial(ctx, args.Host, &websocket.DialOptions{Subprotocols: []string{"amqp"}})
			if err != nil {
				return nil, err
			}
			return websocket.NetConn(context.Background(), socket, websocket.MessageBinary), nil
		}
	}
	return check.Get[*azservicebus.Client](t)(azservicebus.NewClientFromConnectionString(os.Getenv(variable), options))
}

func text(body string) *azservicebus.Message { return &azservicebus.Message{Body: []byte(body)} }

func texts(count, start int) []*azservicebus.Message {
	messages := []*azservicebus.Message{}
	for number := start; number < start+count; number++ {
		messages = append(messages, text(fmt.Sprintf("m%d", number)))
	}
	return messages
}

func names(count int) []string {
	list := []string{}
	for number := range count {
		list = append(list, fmt.Sprintf("m%d", number))
	}
	return list
}

func bodies(messages []*azservicebus.ReceivedMessage) []string {
	list := []string{}
	for _, message := range messages {
		list = append(list, string(message.Body))
	}
	return list
}

func sorted(list []string) []string {
	sort.Strings(list)
	return list
}

// receiver is what plain receivers and those of a session have in common.
type receiver interface {
	ReceiveMessages(context.Context, int, *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	CompleteMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.CompleteMessageOptions) error
	AbandonMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.AbandonMessageOptions) error
}

func send(t *t, client *azservicebus.Client, queue string, messages ...*azservicebus.Message) {
	t.Must(trySend(t, client, queue, messages...))
}

func trySend(t *t, client *azservicebus.Client, queue string, messages ...*azservicebus.Message) error {
	sender := check.Get[*azservicebus.Sender](t)(client.NewSender(queue, nil))
	defer sender.Close(t.Ctx)
	for _, message := range messages {
		if err := sender.SendMessage(t.Ctx, message, nil); err != nil {
			return err
		}
	}
	return nil
}

func open(t *t, client *azservicebus.Client, queue string, options *azservicebus.ReceiverOptions) *azservicebus.Receiver {
	return check.Get[*azservicebus.Receiver](t)(client.NewReceiverForQueue(queue, options))
}

func openDead(t *t, client *azservicebus.Client, queue string) *azservicebus.Receiver {
	return open(t, client, queue, &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
}

func take(t *t, from receiver, count int) []*azservicebus.ReceivedMessage {
	ctx, cancel := context.WithTimeout(t.Ctx, long)
	defer cancel()
	var messages []*azservicebus.ReceivedMessage
	for len(messages) < count {
		more, err := from.ReceiveMessages(ctx, count-len(messages), nil)
		if err != nil {
			t.Fatalf("received %d of %d: %v", len(messages), count, err)
		}
		messages = append(messages, more...)
	}
	return messages
}

func one(t *t, from receiver) *azservicebus.ReceivedMessage { return take(t, from, 1)[0] }

func nothingLeft(t *t, from receiver) {
	ctx, cancel := context.WithTimeout(t.Ctx, quiet)
	defer cancel()
	messages, err := from.ReceiveMessages(ctx, 10, nil)
	t.Check(len(messages) == 0, "messages left: %v", bodies(messages))
	t.Check(errors.Is(err, context.DeadlineExceeded), "a quiet receive ended with %v", err)
}

func complete(t *t, from receiver, messages ...*azservicebus.ReceivedMessage) {
	for _, message := range messages {
		t.Must(from.CompleteMessage(t.Ctx, message, nil))
	}
}

// wantCode: the code counts, applications choose what to do by it.
func wantCode(t *t, err error, code azservicebus.Code) {
	var known *azservicebus.Error
	t.Check(errors.As(err, &known) && known.Code == code, "wanted code %s, got %T: %v", code, err, err)
}

func wantCondition(t *t, err error, condition amqp.ErrCond) {
	var known *amqp.Error
	t.Check(errors.As(err, &known) && known.Condition == condition, "wanted condition %s, got %T: %v", condition, err, err)
}

// --- sending and receiving --------------------------------------------------------------------

func sendOne(t *t, client *azservicebus.Client) {
	sent := &azservicebus.Message{
		Body: []byte{0, 1, 255}, ContentType: to.Ptr("application/octet-stream"), CorrelationID: to.Ptr("c1"), Subject: to.Ptr("s1"),
		To: to.Ptr("t1"), ReplyTo: to.Ptr("r1"), MessageID: to.Ptr("id-1"), TimeToLive: to.Ptr(5 * time.Minute),
		ApplicationProperties: map[string]any{"text": "ü", "int": int32(7), "long": int64(1) << 40, "double": 1.5, "bool": true,
			"bytes": []byte{0, 1}, "at": time.UnixMilli(1000).UTC()},
	}
	before := time.Now().Add(-2 * time.Second)
	send(t, client, t.Queue, sent)
	from := open(t, client, t.Queue, nil)
	got := one(t, from)
	t.Same(sent.Body, got.Body, "body")
	t.Same([]string{"application/octet-stream", "c1", "s1", "t1", "r1", "id-1"},
		[]string{*got.ContentType, *got.CorrelationID, *got.Subject, *got.To, *got.ReplyTo, got.MessageID}, "properties")
	t.Same(5*time.Minute, *got.TimeToLive, "time to live")
	for name, value := range sent.ApplicationProperties {
		if at, isTime := value.(time.Time); isTime {
			t.Check(at.Equal(got.ApplicationProperties[name].(time.Time)), "property %s", name)
			continue
		}
		t.Same(value, got.ApplicationProperties[name], "property "+name)
	}
	t.Same(uint32(1), got.DeliveryCount, "delivery count")
	t.Check(got.SequenceNumber != nil && *got.SequenceNumber > 0, "a sequence number")
	t.Check(got.LockToken != [16]byte{}, "a lock token")
	t.Check(got.EnqueuedTime.After(before) && got.LockedUntil.After(*got.EnqueuedTime), "times")
	complete(t, from, got)
	nothingLeft(t, from)
}

func batch(t *t, client *azservicebus.Client) {
	sender := check.Get[*azservicebus.Sender](t)(client.NewSender(t.Queue, nil))
	many := check.Get[*azservicebus.MessageBatch](t)(sender.NewMessageBatch(t.Ctx, nil))
	for _, message := range texts(100, 0) {
		t.Must(many.AddMessage(message, nil))
	}
	t.Must(sender.SendMessageBatch(t.Ctx, many, nil))
	from := open(t, client, t.Queue, nil)
	got := take(t, from, 100)
	t.Same(names(100), bodies(got), "order")
	complete(t, from, got...)
	nothingLeft(t, from)
}

func messageID(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, &azservicebus.Message{Body: []byte("given"), MessageID: to.Ptr("mine")}, text("1"), text("2"))
	from := open(t, client, t.Queue, nil)
	ids := map[string]bool{}
	for _, message := range take(t, from, 3) {
		ids[message.MessageID] = true
		complete(t, from, message)
	}
	t.Check(ids["mine"] && len(ids) == 3 && !ids[""], "ids: %v", ids)
}

func large(t *t, client *azservicebus.Client) {
	data := bytes.Repeat([]byte("\x00large\xff!"), 200*1024/8)
	send(t, client, t.Queue, &azservicebus.Message{Body: data})
	send(t, client, t.Queue, &azservicebus.Message{Body: data,
		ApplicationProperties: map[string]any{"p": strings.Repeat("x", 20000)}})
	from := open(t, client, t.Queue, nil)
	for range 2 {
		got := one(t, from)
		t.Check(bytes.Equal(data, got.Body), "a body of %d bytes came back changed", len(got.Body))
		complete(t, from, got)
	}
}

func tooLarge(t *t, _ *azservicebus.Client) {
	client := connectOnce(t, "SERVICEBUS")
	defer client.Close(t.Ctx)
	err := trySend(t, client, t.Queue, &azservicebus.Message{Body: make([]byte, 1200*1024)})
	t.Check(errors.Is(err, azservicebus.ErrMessageTooLarge), "got %T: %v", err, err)
}

func receiveAndDelete(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, texts(10, 0)...)
	from := open(t, client, t.Queue, &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete})
	t.Same(names(10), bodies(take(t, from, 10)), "order")
	nothingLeft(t, from)
}

func prefetch(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, texts(500, 0)...)
	from := open(t, client, t.Queue, nil)
	seen := []string{}
	for len(seen) < 500 {
		got, err := from.ReceiveMessages(t.Ctx, 50, nil)
		t.Must(err)
		complete(t, from, got...)
		seen = append(seen, bodies(got)...)
	}
	t.Same(sorted(names(500)), sorted(seen), "every message once")
	nothingLeft(t, from)
}

// A receive that waits gets what is sent meanwhile, and at once.
func waiting(t *t, client *azservicebus.Client) {
	from := open(t, client, t.Queue, nil)
	nothingLeft(t, from)
	sender := check.Get[*azservicebus.Sender](t)(client.NewSender(t.Queue, nil))
	_, err := sender.ScheduleMessages(t.Ctx, []*azservicebus.Message{text("late")}, time.Now().Add(2*time.Second), nil)
	t.Must(err)
	start := time.Now()
	got := one(t, from)
	t.Check(time.Since(start) < long/2, "the receive returned after %v", time.Since(start))
	complete(t, from, got)
}

// --- settling ---------------------------------------------------------------------------------

func abandon(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, &azservicebus.Message{Body: []byte("m0"), ApplicationProperties: map[string]any{"kept": "k", "changed": "old"}})
	from := open(t, client, t.Queue, nil)
	for count := range uint32(3) {
		got := one(t, from)
		t.Same(count+1, got.DeliveryCount, "delivery count")
		t.Must(from.AbandonMessage(t.Ctx, got, &azservicebus.AbandonMessageOptions{PropertiesToModify: map[string]any{"changed": "new"}}))
	}
	got := one(t, from)
	t.Same(uint32(4), got.DeliveryCount, "delivery count")
	t.Same(map[string]any{"kept": "k", "changed": "new"}, got.ApplicationProperties, "properties")
	complete(t, from, got)
	nothingLeft(t, from)
}

func maxDelivery(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, text("m0"))
	from := open(t, client, t.Queue, nil)
	for range 2 {
		t.Must(from.AbandonMessage(t.Ctx, one(t, from), nil))
	}
	nothingLeft(t, from)
	dead := openDead(t, client, t.Queue)
	got := one(t, dead)
	t.Check(got.DeadLetterReason != nil && *got.DeadLetterReason == "MaxDeliveryCountExceeded", "reason %v", got.DeadLetterReason)
	complete(t, dead, got)
}

func deadLetter(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, &azservicebus.Message{Body: []byte("bad"), MessageID: to.Ptr("b1"), ApplicationProperties: map[string]any{"kept": "k"}})
	from := open(t, client, t.Queue, nil)
	t.Must(from.DeadLetterMessage(t.Ctx, one(t, from), &azservicebus.DeadLetterOptions{
		Reason: to.Ptr("poison"), ErrorDescription: to.Ptr("cannot read it"), PropertiesToModify: map[string]any{"extra": "x"}}))
	nothingLeft(t, from)
	dead := openDead(t, client, t.Queue)
	got := one(t, dead)
	t.Check(got.DeadLetterReason != nil && got.DeadLetterErrorDescription != nil, "a reason")
	t.Same([]any{"bad", "b1", "poison", "cannot read it", "k", "x"},
		[]any{string(got.Body), got.MessageID, *got.DeadLetterReason, *got.DeadLetterErrorDescription, got.ApplicationProperties["kept"],
			got.ApplicationProperties["extra"]}, "dead letter")
	complete(t, dead, got)
	nothingLeft(t, dead)
}

func deferring(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, texts(2, 0)...)
	from := open(t, client, t.Queue, nil)
	got := take(t, from, 2)
	t.Must(from.DeferMessage(t.Ctx, got[0], nil))
	complete(t, from, got[1])
	nothingLeft(t, from)
	numbers := []int64{*got[0].SequenceNumber}
	deferred, err := from.ReceiveDeferredMessages(t.Ctx, numbers, nil)
	t.Must(err)
	t.Same([]string{"m0"}, bodies(deferred), "deferred")
	t.Must(from.RenewMessageLock(t.Ctx, deferred[0], nil))
	complete(t, from, deferred...)
	_, err = from.ReceiveDeferredMessages(t.Ctx, numbers, nil)
	wantCode(t, err, azservicebus.CodeNotFound)
}

func deferAgain(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, text("m0"))
	from := open(t, client, t.Queue, nil)
	first := one(t, from)
	t.Must(from.DeferMessage(t.Ctx, first, nil))
	numbers := []int64{*first.SequenceNumber}
	deferred, err := from.ReceiveDeferredMessages(t.Ctx, numbers, nil)
	t.Must(err)
	t.Must(from.AbandonMessage(t.Ctx, deferred[0], nil))
	deferred, err = from.ReceiveDeferredMessages(t.Ctx, numbers, nil)
	t.Must(err)
	t.Must(from.DeadLetterMessage(t.Ctx, deferred[0], &azservicebus.DeadLetterOptions{Reason: to.Ptr("late")}))
	dead := openDead(t, client, t.Queue)
	got := one(t, dead)
	t.Check(got.DeadLetterReason != nil && *got.DeadLetterReason == "late", "reason %v", got.DeadLetterReason)
	complete(t, dead, got)
}

func peek(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, texts(5, 0)...)
	from := open(t, client, t.Queue, nil)
	five, err := from.PeekMessages(t.Ctx, 10, &azservicebus.PeekMessagesOptions{FromSequenceNumber: to.Ptr(int64(0))})
	t.Must(err)
	t.Same(names(5), bodies(five), "peeked")
	rest, err := from.PeekMessages(t.Ctx, 2, &azservicebus.PeekMessagesOptions{FromSequenceNumber: five[2].SequenceNumber})
	t.Must(err)
	t.Same([]string{"m2", "m3"}, bodies(rest), "peeked from the third")
	got := take(t, from, 5)
	t.Same(uint32(1), got[0].DeliveryCount, "peeking does not count")
	complete(t, from, got...)
	none, err := from.PeekMessages(t.Ctx, 1, &azservicebus.PeekMessagesOptions{FromSequenceNumber: to.Ptr(int64(0))})
	t.Must(err)
	t.Check(len(none) == 0, "peeked at the end: %v", bodies(none))
}

// --- time -------------------------------------------------------------------------------------

func schedule(t *t, client *azservicebus.Client) {
	sender := check.Get[*azservicebus.Sender](t)(client.NewSender(t.Queue, nil))
	from := open(t, client, t.Queue, nil)
	due := time.Now().Add(10 * time.Second)
	numbers, err := sender.ScheduleMessages(t.Ctx, texts(3, 0), due, nil)
	t.Must(err)
	t.Same(3, len(numbers), "sequence numbers")
	peeked, err := from.PeekMessages(t.Ctx, 1, &azservicebus.PeekMessagesOptions{FromSequenceNumber: &numbers[0]})
	t.Must(err)
	t.Same(azservicebus.MessageStateScheduled, peeked[0].State, "state")
	t.Must(sender.CancelScheduledMessages(t.Ctx, numbers[1:2], nil))
	wantCode(t, sender.CancelScheduledMessages(t.Ctx, numbers[1:2], nil), azservicebus.CodeNotFound)
	t.Must(sender.SendMessage(t.Ctx, &azservicebus.Message{Body: []byte("m9"), ScheduledEnqueueTime: &due}, nil))
	first := one(t, from)
	t.Check(time.Now().After(due.Add(-100*time.Millisecond)), "not before its time")
	got := append(take(t, from, 2), first)
	t.Same([]string{"m0", "m2", "m9"}, sorted(bodies(got)), "messages that were not cancelled")
	complete(t, from, got...)
}

func expire(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, &azservicebus.Message{Body: []byte("old"), TimeToLive: to.Ptr(time.Second)})
	time.Sleep(1500 * time.Millisecond)
	dead := openDead(t, client, t.Queue)
	got := one(t, dead)
	t.Check(got.DeadLetterReason != nil && *got.DeadLetterReason == "TTLExpiredException", "reason %v", got.DeadLetterReason)
	complete(t, dead, got)
}

func renewLock(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, text("m0"))
	from := open(t, client, t.Queue, nil)
	got := one(t, from)
	for range 3 {
		before := *got.LockedUntil
		time.Sleep(shortLock * 4 / 10)
		t.Must(from.RenewMessageLock(t.Ctx, got, nil))
		t.Check(got.LockedUntil.After(before.Add(shortLock*3/10)), "%v became %v", before, got.LockedUntil)
	}
	complete(t, from, got) // after longer than one lock
	nothingLeft(t, from)
}

// Automatic renewal as this client's users write it: its library has none of its own.
func autoRenew(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, text("m0"))
	from, other := open(t, client, t.Queue, nil), open(t, client, t.Queue, nil)
	got := one(t, from)
	ctx, stop := context.WithCancel(t.Ctx)
	renewals := make(chan error, 1)
	go func() {
		tick := time.NewTicker(shortLock / 5)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				renewals <- nil
				return
			case <-tick.C:
				if err := from.RenewMessageLock(t.Ctx, got, nil); err != nil {
					renewals <- err
					return
				}
			}
		}
	}()
	time.Sleep(shortLock * 12 / 10)
	nothingLeft(t, other)
	time.Sleep(shortLock * 4 / 10)
	stop()
	t.Must(<-renewals)
	complete(t, from, got)
	nothingLeft(t, other)
}

func lockLost(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, text("m0"))
	from := open(t, client, t.Queue, nil)
	got := one(t, from)
	time.Sleep(shortLock + 500*time.Millisecond)
	wantCode(t, from.CompleteMessage(t.Ctx, got, nil), azservicebus.CodeLockLost)
	wantCode(t, from.RenewMessageLock(t.Ctx, got, nil), azservicebus.CodeLockLost)
	again := one(t, from)
	t.Same(uint32(2), again.DeliveryCount, "an expired lock counts")
	complete(t, from, again)
	nothingLeft(t, from)
}

// --- sessions ---------------------------------------------------------------------------------

func inSession(session string, texts ...string) []*azservicebus.Message {
	messages := []*azservicebus.Message{}
	for _, body := range texts {
		messages = append(messages, &azservicebus.Message{Body: []byte(body), SessionID: &session})
	}
	return messages
}

func accept(t *t, client *azservicebus.Client, session string) *azservicebus.SessionReceiver {
	return check.Get[*azservicebus.SessionReceiver](t)(client.AcceptSessionForQueue(t.Ctx, t.Queue, session, nil))
}

func sessions(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, inSession("a", "a0", "a1", "a2")...)
	send(t, client, t.Queue, inSession("b", "b0", "b1")...)
	from := accept(t, client, "b")
	t.Same("b", from.SessionID(), "session")
	t.Check(from.LockedUntil().After(time.Now()), "locked until %v", from.LockedUntil())
	got := take(t, from, 2)
	t.Same([]string{"b0", "b1"}, bodies(got), "messages")
	t.Same("b", *got[0].SessionID, "the message's session")
	complete(t, from, got...)
	nothingLeft(t, from)
	following := check.Get[*azservicebus.SessionReceiver](t)(client.AcceptNextSessionForQueue(t.Ctx, t.Queue, nil))
	t.Same("a", following.SessionID(), "the next session")
	t.Must(following.AbandonMessage(t.Ctx, one(t, following), nil))
	got = take(t, following, 3)
	t.Same([]string{"a0", "a1", "a2"}, bodies(got), "an abandoned message returns to its place")
	complete(t, following, got...)
	t.Must(following.Close(t.Ctx))
	t.Must(from.Close(t.Ctx))
}

func sessionEmpty(t *t, client *azservicebus.Client) {
	from := accept(t, client, "early")
	send(t, client, t.Queue, inSession("early", "e0")...)
	complete(t, from, one(t, from))
}

func sessionState(t *t, client *azservicebus.Client) {
	from := accept(t, client, "s")
	state := check.Get[[]byte](t)
	t.Check(len(state(from.GetSessionState(t.Ctx, nil))) == 0, "a new session has no state")
	t.Must(from.SetSessionState(t.Ctx, []byte("\x00state"), nil))
	before := from.LockedUntil()
	time.Sleep(time.Second)
	t.Must(from.RenewSessionLock(t.Ctx, nil))
	t.Check(from.LockedUntil().After(before), "%v became %v", before, from.LockedUntil())
	t.Must(from.Close(t.Ctx))
	from = accept(t, client, "s")
	t.Same([]byte("\x00state"), state(from.GetSessionState(t.Ctx, nil)), "state after the session was closed")
	t.Must(from.SetSessionState(t.Ctx, nil, nil))
	t.Check(len(state(from.GetSessionState(t.Ctx, nil))) == 0, "a cleared state")
}

func sessionNone(t *t, _ *azservicebus.Client) {
	client := connectOnce(t, "SERVICEBUS")
	defer client.Close(t.Ctx)
	ctx, cancel := context.WithTimeout(t.Ctx, 2*time.Second)
	defer cancel()
	_, err := client.AcceptNextSessionForQueue(ctx, t.Queue, nil)
	// The client tells the server to answer up to 20 ms before it gives up itself; either may be first.
	if !errors.Is(err, context.DeadlineExceeded) {
		wantCode(t, err, azservicebus.CodeTimeout)
	}
}

func sessionLocked(t *t, client *azservicebus.Client) {
	accept(t, client, "taken")
	other := connectOnce(t, "SERVICEBUS")
	defer other.Close(t.Ctx)
	_, err := other.AcceptSessionForQueue(t.Ctx, t.Queue, "taken", nil)
	wantCondition(t, err, "com.microsoft:session-cannot-be-locked")
}

func sessionLockLost(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, inSession("s", "s0")...)
	from := accept(t, client, "s")
	got := one(t, from)
	time.Sleep(shortLock + 500*time.Millisecond)
	err := from.CompleteMessage(t.Ctx, got, nil)
	t.Check(err != nil, "a message of a lost session was completed")
	t.Must(from.Close(t.Ctx))
	again := accept(t, client, "s")
	message := one(t, again)
	t.Same(uint32(2), message.DeliveryCount, "an expired lock counts")
	complete(t, again, message)
}

func sessionList(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, inSession("x", "m")...)
	send(t, client, t.Queue, inSession("y", "m")...)
	from := accept(t, client, "z")
	t.Must(from.SetSessionState(t.Ctx, []byte("1"), nil))
	pager, found := client.NewListSessionsForQueuePager(t.Queue, nil), []string{}
	for pager.More() {
		page, err := pager.NextPage(t.Ctx)
		t.Must(err)
		found = append(found, page.Sessions...)
	}
	t.Same([]string{"x", "y", "z"}, sorted(found), "sessions")
}

// --- what the entity does ---------------------------------------------------------------------

func duplicates(t *t, client *azservicebus.Client) {
	for _, body := range []string{"first", "second"} {
		send(t, client, t.Queue, &azservicebus.Message{Body: []byte(body), MessageID: to.Ptr("same")})
	}
	send(t, client, t.Queue, &azservicebus.Message{Body: []byte("other"), MessageID: to.Ptr("other")})
	from := open(t, client, t.Queue, nil)
	got := take(t, from, 2)
	t.Same([]string{"first", "other"}, bodies(got), "messages")
	complete(t, from, got...)
	nothingLeft(t, from)
}

func forward(t *t, client *azservicebus.Client) {
	send(t, client, t.Queue, &azservicebus.Message{Body: []byte("on"), MessageID: to.Ptr("f1")})
	from := open(t, client, "forward-target", nil)
	got := one(t, from)
	t.Same([]string{"on", "f1"}, []string{string(got.Body), got.MessageID}, "forwarded")
	t.Check(got.EnqueuedSequenceNumber != nil && *got.EnqueuedSequenceNumber > 0, "the sequence number of the first queue")
	complete(t, from, got)
}

// Four senders and four receivers over one connection: every message once.
func parallel(t *t, client *azservicebus.Client) {
	results := make(chan any, 8)
	part := func(work func() []string) {
		go func() {
			defer func() {
				if problem := recover(); problem != nil {
					results <- problem
				}
			}()
			results <- work()
		}()
	}
	wanted := []string{}
	var received atomic.Int32
	for number := range 4 {
		for index := range 50 {
			wanted = append(wanted, fmt.Sprintf("%d-%d", number, index))
		}
		part(func() []string {
			for index := range 50 {
				send(t, client, t.Queue, text(fmt.Sprintf("%d-%d", number, index)))
			}
			return nil
		})
		part(func() []string {
			from, seen := open(t, client, t.Queue, nil), []string{}
			for end := time.Now().Add(long); received.Load() < 200 && time.Now().Before(end); {
				ctx, cancel := context.WithTimeout(t.Ctx, 2*time.Second)
				got, err := from.ReceiveMessages(ctx, 5, nil)
				cancel()
				if errors.Is(err, context.DeadlineExceeded) {
					continue
				}
				t.Must(err)
				complete(t, from, got...)
				seen = append(seen, bodies(got)...)
				received.Add(int32(len(got)))
			}
			nothingLeft(t, from)
			return seen
		})
	}
	seen := []string{}
	for range 8 {
		switch result := (<-results).(type) {
		case []string:
			seen = append(seen, result...)
		default:
			panic(result)
		}
	}
	t.Same(sorted(wanted), sorted(seen), "every message once")
}

// --- refusals ---------------------------------------------------------------------------------

func refusedSending(variable string, code azservicebus.Code) func(*t, *azservicebus.Client) {
	return func(t *t, _ *azservicebus.Client) {
		client := connectOnce(t, variable)
		defer client.Close(t.Ctx)
		wantCode(t, trySend(t, client, t.Queue, text("m")), code)
	}
}

func signedToken(t *t, _ *azservicebus.Client) {
	client := connectOnce(t, "SERVICEBUS_SIGNED")
	defer client.Close(t.Ctx)
	send(t, client, t.Queue, text("m"))
	from := open(t, client, t.Queue, nil)
	complete(t, from, one(t, from))
}

func sendOnly(t *t, _ *azservicebus.Client) {
	client := connectOnce(t, "SERVICEBUS_SEND_ONLY")
	defer client.Close(t.Ctx)
	send(t, client, t.Queue, text("m"))
	_, err := open(t, client, t.Queue, nil).ReceiveMessages(t.Ctx, 1, nil)
	wantCode(t, err, azservicebus.CodeUnauthorizedAccess)
}

func disabled(t *t, _ *azservicebus.Client) {
	client := connectOnce(t, "SERVICEBUS")
	defer client.Close(t.Ctx)
	wantCondition(t, trySend(t, client, t.Queue, text("m")), "com.microsoft:entity-disabled")
}

func sessionRequired(t *t, _ *azservicebus.Client) {
	client := connectOnce(t, "SERVICEBUS")
	defer client.Close(t.Ctx)
	_, err := open(t, client, t.Queue, nil).ReceiveMessages(t.Ctx, 1, nil)
	wantCondition(t, err, amqp.ErrCondNotAllowed)
}

func main() {
	cases := []check.Case{}
	add := func(name string, run func(*t, *azservicebus.Client)) {
		cases = append(cases, check.Case{Name: name, Run: func(t *t) {
			client := connect(t, "SERVICEBUS")
			defer client.Close(context.Background())
			run(t, client)
		}})
	}
	// The long ones first: the others fit into their time.
	add("auto-renew", autoRenew)
	add("lock-lost", lockLost)
	add("renew-lock", renewLock)
	add("session-lock-lost", sessionLockLost)
	add("parallel", parallel)
	add("prefetch", prefetch)
	add("schedule", schedule)
	add("waiting", waiting)
	add("send-one", sendOne)
	add("batch", batch)
	add("message-id", messageID)
	add("large", large)
	add("too-large", tooLarge)
	add("receive-and-delete", receiveAndDelete)
	add("abandon", abandon)
	add("max-delivery", maxDelivery)
	add("dead-letter", deadLetter)
	add("defer", deferring)
	add("defer-again", deferAgain)
	add("peek", peek)
	add("expire", expire)
	add("sessions", sessions)
	add("session-empty", sessionEmpty)
	add("session-state", sessionState)
	add("session-none", sessionNone)
	add("session-locked", sessionLocked)
	add("session-list", sessionList)
	add("duplicates", duplicates)
	add("forward", forward)
	add("wrong-key", refusedSending("SERVICEBUS_WRONG_KEY", azservicebus.CodeUnauthorizedAccess))
	add("expired-token", refusedSending("SERVICEBUS_EXPIRED", azservicebus.CodeUnauthorizedAccess))
	add("listen-only", refusedSending("SERVICEBUS_LISTEN_ONLY", azservicebus.CodeUnauthorizedAccess))
	add("missing-entity", refusedSending("SERVICEBUS", azservicebus.CodeNotFound))
	add("signed-token", signedToken)
	add("send-only", sendOnly)
	add("disabled", disabled)
	add("session-required", sessionRequired)
	check.Run("messages", cases, 10)
}
