"""The queues of the suites, as the file `--servicebus-config` reads: one for each case, named after it."""
import json

SHORT = {"LockDuration": "PT10S"}
SESSION = {"RequiresSession": True}
QUEUES = {
    "send-one": {}, "bodies": {}, "amqp-bodies": {}, "send-list": {}, "batch": {}, "message-id": {}, "large": {}, "too-large": {},
    "receive-and-delete": {}, "prefetch": {}, "subscribe": {}, "subscribe-throws": {"MaxDeliveryCount": 10}, "loop": {}, "waiting": {},
    "parallel": {}, "abandon": {"MaxDeliveryCount": 10}, "max-delivery": {"MaxDeliveryCount": 2}, "dead-letter": {}, "defer": {},
    "defer-again": {}, "peek": {}, "schedule": {},
    "expire": {"DeadLetteringOnMessageExpiration": True}, "expire-drop": {},
    "renew-lock": SHORT, "auto-renew": SHORT, "lock-lost": SHORT,
    "sessions": SESSION, "session-empty": SESSION, "session-subscribe": SESSION, "session-state": SESSION, "session-none": SESSION,
    "session-locked": SESSION, "session-list": SESSION, "session-required": SESSION,
    "session-lock-lost": {**SESSION, **SHORT}, "session-auto-renew": {**SESSION, **SHORT},
    "duplicates": {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT1M"},
    "forward-target": {}, "forward": {"ForwardTo": "forward-target"},
    "forward-dead-target": {}, "forward-dead": {"ForwardDeadLetteredMessagesTo": "forward-dead-target"},
    "wrong-key": {}, "expired-token": {}, "signed-token": {},
    "traffic": {"MaxDeliveryCount": 10}, "crash": {"MaxDeliveryCount": 10},
}
# Those that the file cannot describe are made with the admin interface: rules of their own, and a state.
LISTENER, SENDER = ("listener", "listen-key-" * 4), ("sender", "send-key---" * 4)


def rule(name, key, right):
    return ('<AuthorizationRule i:type="SharedAccessAuthorizationRule"><ClaimType>SharedAccessKey</ClaimType>'
            f"<ClaimValue>None</ClaimValue><Rights><AccessRights>{right}</AccessRights></Rights><KeyName>{name}</KeyName>"
            f"<PrimaryKey>{key}</PrimaryKey><SecondaryKey>{key[::-1]}</SecondaryKey></AuthorizationRule>")


MADE = {
    "listen-only": f"<AuthorizationRules>{rule(*LISTENER, 'Listen')}</AuthorizationRules>",
    "send-only": f"<AuthorizationRules>{rule(*SENDER, 'Send')}</AuthorizationRules>",
    "disabled": "<Status>Disabled</Status>",
}


def description(properties):
    return ('<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">'
            '<QueueDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect" '
            f'xmlns:i="http://www.w3.org/2001/XMLSchema-instance">{properties}</QueueDescription></content></entry>').encode()


def config():
    queues = [{"Name": name, "Properties": properties} for name, properties in QUEUES.items()]
    return json.dumps({"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": queues, "Topics": []}],
                                      "Logging": {"Type": "File"}}})
