"""Sends messages to a queue, one by one, with the connection string in SERVICEBUS_CONNECTION_STRING.

    sender.py QUEUE COUNT
"""
import os
import sys

from azure.servicebus import ServiceBusClient, ServiceBusMessage

queue, count = sys.argv[1], int(sys.argv[2])
with ServiceBusClient.from_connection_string(os.environ["SERVICEBUS_CONNECTION_STRING"]) as client:
    with client.get_queue_sender(queue) as sender:
        for number in range(1, count + 1):
            sender.send_messages(ServiceBusMessage(f"message {number}"))
