// The admin program: the life of a queue with azservicebus's admin client.
//
//	admin [CASE…]      one line per case, then a summary
package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"jobmill.test/servicebus/check"
)

func connect(t *check.T, variable string) *admin.Client {
	options := &admin.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
	return check.Get[*admin.Client](t)(admin.NewClientFromConnectionString(os.Getenv(variable), options))
}

func wantStatus(t *check.T, err error, status int) {
	var answer *azcore.ResponseError
	t.Check(errors.As(err, &answer) && answer.StatusCode == status, "wanted status %d, got %T: %v", status, err, err)
}

func listed(t *check.T, client *admin.Client) []string {
	names, pager := []string{}, client.NewListQueuesPager(nil)
	for pages := 0; pager.More(); pages++ {
		t.Check(pages < 100, "the list has no end")
		page, err := pager.NextPage(t.Ctx)
		t.Must(err)
		for _, queue := range page.Queues {
			names = append(names, queue.QueueName)
		}
	}
	return names
}

func lifeOfAQueue(t *check.T) {
	client := connect(t, "SERVICEBUS_ADMIN")
	made, err := client.CreateQueue(t.Ctx, "life", nil)
	t.Must(err)
	t.Same("life", made.QueueName, "name")
	got, err := client.GetQueue(t.Ctx, "life", nil)
	t.Must(err)
	t.Check(got != nil, "the queue is there")
	t.Same([]any{"PT1M", int32(10), false, false, admin.EntityStatusActive},
		[]any{*got.LockDuration, *got.MaxDeliveryCount, *got.RequiresSession, *got.RequiresDuplicateDetection, *got.Status}, "defaults")
	_, err = client.CreateQueue(t.Ctx, "life", nil)
	wantStatus(t, err, http.StatusConflict)

	got.MaxDeliveryCount, got.LockDuration, got.UserMetadata = to.Ptr(int32(5)), to.Ptr("PT30S"), to.Ptr("<mine> & more")
	_, err = client.UpdateQueue(t.Ctx, "life", got.QueueProperties, nil)
	t.Must(err)
	again, err := client.GetQueue(t.Ctx, "life", nil)
	t.Must(err)
	t.Same([]any{int32(5), "PT30S", "<mine> & more"}, []any{*again.MaxDeliveryCount, *again.LockDuration, *again.UserMetadata}, "updated")
	t.Check(slices.Contains(listed(t, client), "life"), "listed")

	_, err = client.DeleteQueue(t.Ctx, "life", nil)
	t.Must(err)
	gone, err := client.GetQueue(t.Ctx, "life", nil)
	t.Must(err)
	t.Check(gone == nil, "a deleted queue is nil")
	_, err = client.DeleteQueue(t.Ctx, "life", nil)
	wantStatus(t, err, http.StatusNotFound)
	t.Check(!slices.Contains(listed(t, client), "life"), "gone from the list")
}

func everyProperty(t *check.T) {
	client := connect(t, "SERVICEBUS_ADMIN")
	_, err := client.CreateQueue(t.Ctx, "every-target", nil)
	t.Must(err)
	_, err = client.CreateQueue(t.Ctx, "every/property", &admin.CreateQueueOptions{Properties: &admin.QueueProperties{
		LockDuration: to.Ptr("PT20S"), MaxSizeInMegabytes: to.Ptr(int32(2048)), RequiresDuplicateDetection: to.Ptr(true),
		RequiresSession: to.Ptr(true), DefaultMessageTimeToLive: to.Ptr("PT2H"), DeadLetteringOnMessageExpiration: to.Ptr(true),
		DuplicateDetectionHistoryTimeWindow: to.Ptr("PT1M"), MaxDeliveryCount: to.Ptr(int32(7)), EnableBatchedOperations: to.Ptr(false),
		AutoDeleteOnIdle: to.Ptr("PT10M"), UserMetadata: to.Ptr("u"), ForwardDeadLetteredMessagesTo: to.Ptr("every-target"),
		AuthorizationRules: []admin.AuthorizationRule{{KeyName: to.Ptr("reader"), AccessRights: []admin.AccessRight{admin.AccessRightListen},
			PrimaryKey: to.Ptr(strings.Repeat("k1", 16)), SecondaryKey: to.Ptr(strings.Repeat("k2", 16))}},
	}})
	t.Must(err)
	got, err := client.GetQueue(t.Ctx, "every/property", nil)
	t.Must(err)
	t.Same([]any{"PT20S", int32(2048), true, true, "PT2H", true, "PT1M", int32(7), false, "PT10M", "u", true},
		[]any{*got.LockDuration, *got.MaxSizeInMegabytes, *got.RequiresDuplicateDetection, *got.RequiresSession, *got.DefaultMessageTimeToLive,
			*got.DeadLetteringOnMessageExpiration, *got.DuplicateDetectionHistoryTimeWindow, *got.MaxDeliveryCount, *got.EnableBatchedOperations,
			*got.AutoDeleteOnIdle, *got.UserMetadata, strings.HasSuffix(*got.ForwardDeadLetteredMessagesTo, "every-target")}, "properties")
	t.Check(len(got.AuthorizationRules) == 1 && *got.AuthorizationRules[0].KeyName == "reader", "rules: %v", got.AuthorizationRules)
}

func runtimeProperties(t *check.T) {
	client := connect(t, "SERVICEBUS_ADMIN")
	_, err := client.CreateQueue(t.Ctx, "counted", nil)
	t.Must(err)
	data := check.Get[*azservicebus.Client](t)(azservicebus.NewClientFromConnectionString(os.Getenv("SERVICEBUS"), nil))
	defer data.Close(t.Ctx)
	sender := check.Get[*azservicebus.Sender](t)(data.NewSender("counted", nil))
	for range 3 {
		t.Must(sender.SendMessage(t.Ctx, &azservicebus.Message{Body: []byte("m")}, nil))
	}
	_, err = sender.ScheduleMessages(t.Ctx, []*azservicebus.Message{{Body: []byte("later")}}, time.Now().Add(time.Hour), nil)
	t.Must(err)
	from := check.Get[*azservicebus.Receiver](t)(data.NewReceiverForQueue("counted", nil))
	messages, err := from.ReceiveMessages(t.Ctx, 1, nil)
	t.Must(err)
	t.Must(from.DeadLetterMessage(t.Ctx, messages[0], nil))

	got, err := client.GetQueueRuntimeProperties(t.Ctx, "counted", nil)
	t.Must(err)
	t.Same([]int64{2, 1, 1, 4}, []int64{int64(got.ActiveMessageCount), int64(got.DeadLetterMessageCount), int64(got.ScheduledMessageCount),
		got.TotalMessageCount}, "counts")
	t.Check(got.SizeInBytes > 0 && !got.CreatedAt.IsZero() && !got.UpdatedAt.IsZero() && !got.AccessedAt.IsZero(), "sizes and times: %+v", got)
	pager, found := client.NewListQueuesRuntimePropertiesPager(nil), false
	for pager.More() {
		page, err := pager.NextPage(t.Ctx)
		t.Must(err)
		for _, queue := range page.QueueRuntimeProperties {
			found = found || queue.QueueName == "counted" && queue.ActiveMessageCount == 2
		}
	}
	t.Check(found, "listed with its counts")
}

// More queues than one page holds; this client stops only at an empty page.
func listsOfMany(t *check.T) {
	client, wanted := connect(t, "SERVICEBUS_ADMIN"), []string{}
	for number := range 120 {
		name := fmt.Sprintf("many-%03d", number)
		_, err := client.CreateQueue(t.Ctx, name, nil)
		t.Must(err)
		wanted = append(wanted, name)
	}
	names := listed(t, client)
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "many-") })
	slices.Sort(names)
	t.Same(wanted, names, "listed once each")
}

func namespace(t *check.T) {
	got, err := connect(t, "SERVICEBUS_ADMIN").GetNamespaceProperties(t.Ctx, nil)
	t.Must(err)
	t.Check(got.Name != "" && got.SKU != "" && !got.CreatedTime.IsZero(), "%+v", got)
}

func refusals(t *check.T) {
	_, err := connect(t, "SERVICEBUS_ADMIN_WRONG_KEY").GetQueue(t.Ctx, "life", nil)
	wantStatus(t, err, http.StatusUnauthorized)
	_, err = connect(t, "SERVICEBUS_ADMIN").CreateQueue(t.Ctx, "bad", &admin.CreateQueueOptions{
		Properties: &admin.QueueProperties{LockDuration: to.Ptr("PT1H")}})
	wantStatus(t, err, http.StatusBadRequest)
}

func main() {
	check.Run("admin", []check.Case{
		{Name: "life-of-a-queue", Run: lifeOfAQueue},
		{Name: "every-property", Run: everyProperty},
		{Name: "runtime-properties", Run: runtimeProperties},
		{Name: "lists-of-many", Run: listsOfMany},
		{Name: "namespace", Run: namespace},
		{Name: "refusals", Run: refusals},
	}, 1)
}
