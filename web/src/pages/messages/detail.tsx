// SPDX-License-Identifier: Apache-2.0
// One message, seen without taking it.
import { useState } from 'preact/hooks';
import { api, query } from '../../lib/api';
import { bytes } from '../../lib/format';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { navigate, param, setQuery, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import { attempt } from '../../lib/toast';
import { messages as words } from '../../text/messages';
import { Button, Card, Code, confirm, EmptyState, Facts, Json, PageHead, RelativeTime, Segments, Show, type Fact } from '../../ui';
import { bodyBytes, deadLetterPath, entityApi, entityPath, hex, parsed, type Message, type MessagePage, type Place } from './message';
import { SendDialog } from './send';

export default function MessageDetail({ params }: PageProps) {
  const place: Place = { namespace: params['namespace'] ?? '', entity: params['entity'] ?? '' };
  const sequence = params['sequence'] ?? '';
  const sub = param('sub');
  const page = useResource<MessagePage>(query(`${entityApi(place)}/peek`, { from: sequence, count: 1, sub }), { everyMs: 5_000 });
  const up = sub ? deadLetterPath(place) : entityPath(place);
  return (
    <Show of={page}>
      {({ items }) => {
        const message = items[0] && String(items[0].sequenceNumber) === sequence ? items[0] : undefined;
        return (
          <div class="stack">
            <PageHead
              crumb={{ to: up, name: place.entity }} title={words.message.title(sequence)}
              actions={message && <Actions place={place} message={message} dead={sub !== ''} up={up} />}
            />
            {message
              ? (
                <div class="grid-2">
                  <Body message={message} />
                  <div class="stack">
                    <Properties message={message} />
                    <Application message={message} />
                  </div>
                </div>
              )
              : <Card><EmptyState icon="messages" title={words.message.gone}>{words.message.goneHint}</EmptyState></Card>}
          </div>
        );
      }}
    </Show>
  );
}

function Actions({ place, message, dead, up }: { place: Place; message: Message; dead: boolean; up: string }) {
  const [sends, setSends] = useState(false);
  if (!can('operate')) return null;
  const cancel = async () => {
    if (!(await confirm({ title: words.cancelTitle, what: words.cancelWhat, action: words.actions.cancel, danger: true, reversible: false }))) return;
    if (await attempt(() => api.post(`${entityApi(place)}/cancel`, { sequenceNumbers: [message.sequenceNumber] }), words.cancelled)) navigate(up);
  };
  return (
    <>
      {dead && <Button icon="edit" onClick={() => setSends(true)}>{words.actions.resend}</Button>}
      {!dead && message.state === 'scheduled' && <Button look="danger" icon="trash" onClick={() => void cancel()}>{words.actions.cancel}</Button>}
      {sends && <SendDialog place={place} dead={message} close={() => setSends(false)} done={() => navigate(up)} />}
    </>
  );
}

function Body({ message }: { message: Message }) {
  const json = parsed(message.body);
  const best = message.bodyBase64 !== undefined ? 'hex' : json && typeof json.value === 'object' ? 'json' : 'text';
  const view = param('body') || best;
  const m = words.message;
  const hidden = message.body === undefined && message.bodyBase64 === undefined;
  return (
    <Card
      title={m.body}
      actions={!hidden && (
        <Segments
          label={m.body} value={view} onChange={(value) => setQuery({ body: value }, { replace: true })}
          choices={[{ value: 'text', name: m.text }, { value: 'json', name: m.json }, { value: 'hex', name: m.hex }]}
        />
      )}
    >
      {hidden && <p class="muted">{words.list.hidden}</p>}
      {!hidden && view === 'json' && (json ? <Json value={json.value} label={m.body} /> : <p class="muted">{m.notJson}</p>)}
      {!hidden && view === 'text' && <Code label={m.body}>{message.body ?? new TextDecoder().decode(bodyBytes(message))}</Code>}
      {!hidden && view === 'hex' && <div class="hex"><Code label={m.body}>{hex(bodyBytes(message))}</Code></div>}
    </Card>
  );
}

function Properties({ message }: { message: Message }) {
  const f = words.message.facts;
  const text = (name: string, value: string | undefined): Fact => value !== undefined && value !== '' && [name, visible(value)];
  const time = (name: string, value: string | undefined): Fact => value !== undefined && [name, <RelativeTime at={value} />];
  return (
    <Card title={words.message.properties}>
      <Facts
        facts={[
          text(f.reason, message.deadLetterReason), text(f.description, message.deadLetterErrorDescription), text(f.source, message.deadLetterSource),
          [f.sequence, <span class="mono">{message.sequenceNumber}</span>], [f.state, words.states[message.state] ?? message.state], [f.deliveries, message.deliveryCount],
          text(f.id, message.messageId), text(f.subject, message.subject), text(f.session, message.sessionId), text(f.type, message.contentType), text(f.correlation, message.correlationId),
          text(f.to, message.to), text(f.replyTo, message.replyTo), text(f.partition, message.partitionKey), text(f.lockedBy, message.lockedBy), time(f.lockedUntil, message.lockedUntil),
          time(f.enqueued, message.enqueuedTime), time(f.scheduled, message.scheduledEnqueueTime), time(f.expires, message.expiresAt), [f.size, bytes(message.size)],
        ]}
      />
    </Card>
  );
}

function Application({ message }: { message: Message }) {
  const entries = Object.entries(message.applicationProperties ?? {});
  return (
    <Card title={words.message.application}>
      {entries.length === 0
        ? <p class="muted">{words.message.noApplication}</p>
        : <Facts facts={entries.map(([name, value]) => [visible(name), <span class="mono">{visible(typeof value === 'string' ? value : JSON.stringify(value))}</span>])} />}
    </Card>
  );
}
