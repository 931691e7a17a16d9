"""Takes one message from a Service Bus queue, prints it and completes it.

Nothing here knows where it runs: in the cloud or on one machine, a managed identity answers for it.
"""
import asyncio
import os

from azure.identity.aio import DefaultAzureCredential
from azure.servicebus.aio import ServiceBusClient


def setting(name):
    value = os.environ[name]
    print(f"{name}: {value}")
    return value


def credential(client_id):
    """The managed identity, or whoever is logged in with the command line; nothing else is tried."""
    return DefaultAzureCredential(
        managed_identity_client_id=client_id,
        exclude_environment_credential=True,
        exclude_workload_identity_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
        exclude_powershell_credential=True,
        exclude_developer_cli_credential=True,
    )


async def main():
    queue = setting("SERVICEBUS_QUEUE_NAME")
    host = setting("SERVICEBUS_FQDN")
    client_id = setting("MANAGED_IDENTITY_CLIENT_ID")
    async with credential(client_id) as identity, ServiceBusClient(host, identity) as client:
        async with client.get_queue_receiver(queue) as receiver:
            messages = await receiver.receive_messages(max_message_count=1, max_wait_time=5)
            message = messages[0]  # a run without a message is a mistake, and ends as one
            print(f"Received message: {message}")
            await receiver.complete_message(message)


asyncio.run(main())
