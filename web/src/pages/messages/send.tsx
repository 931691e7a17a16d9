// SPDX-License-Identifier: Apache-2.0
// A message by hand: new, or a dead letter that is corrected and sent again.
import { useState } from 'preact/hooks';
import { api } from '../../lib/api';
import { attempt } from '../../lib/toast';
import { text as common } from '../../text/common';
import { messages as words } from '../../text/messages';
import { Button, Dialog, Field, Notice } from '../../ui';
import { entityApi, parsed, propertiesOf, propertyLines, type Message, type Place } from './message';

interface SendProps {
  place: Place;
  dead?: Message; // the dead letter that it replaces
  close: () => void;
  done: () => void;
}

// These say why it was a dead letter; a message that is sent again carries them no more.
const kOfDeadLetters = ['DeadLetterReason', 'DeadLetterErrorDescription'];

function start(dead: Message | undefined) {
  const own = Object.entries(dead?.applicationProperties ?? {}).filter(([name]) => !kOfDeadLetters.includes(name));
  return {
    body: dead?.body ?? '', contentType: dead?.contentType ?? '', subject: dead?.subject ?? '', messageId: dead?.messageId ?? '', sessionId: dead?.sessionId ?? '',
    correlationId: dead?.correlationId ?? '', timeToLive: '', scheduled: '', properties: propertyLines(Object.fromEntries(own)), repeat: '1', target: '',
  };
}

type Draft = ReturnType<typeof start>;

function document(draft: Draft, dead: Message | undefined): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const name of ['contentType', 'subject', 'messageId', 'sessionId', 'correlationId', 'timeToLive'] as const) if (draft[name]) out[name] = draft[name];
  if (draft.scheduled) out['scheduledEnqueueTime'] = new Date(draft.scheduled).toISOString();
  const properties = propertiesOf(draft.properties);
  if (Object.keys(properties).length > 0) out['applicationProperties'] = properties;
  if (dead?.bodyBase64 !== undefined) out['bodyBase64'] = dead.bodyBase64;
  else out['body'] = draft.body;
  return out;
}

export function SendDialog({ place, dead, close, done }: SendProps) {
  const [draft, setDraft] = useState(() => start(dead));
  const binary = dead?.bodyBase64 !== undefined;
  const notJson = draft.contentType.includes('json') && !binary && !parsed(draft.body);
  const repeat = Number(draft.repeat);
  const ready = dead !== undefined || (Number.isInteger(repeat) && repeat >= 1 && repeat <= 1000);
  const s = words.send;
  const set = (name: keyof Draft) => (event: { currentTarget: { value: string } }) => setDraft({ ...draft, [name]: event.currentTarget.value });
  const input = (name: keyof Draft, type = 'text') => <input class="input" type={type} value={draft[name]} autocomplete="off" onInput={set(name)} />;

  const send = async () => {
    const message = document(draft, dead);
    const ok = dead
      ? await attempt(() => api.post(`${entityApi(place)}/resubmit`, { sequenceNumber: dead.sequenceNumber, message, ...(draft.target ? { target: draft.target } : {}) }), s.resent)
      : await attempt(() => api.post(`${entityApi(place)}/send`, { message, repeat }), s.sent(repeat));
    if (!ok) return;
    close();
    done();
  };
  return (
    <Dialog
      title={dead ? s.resendTitle(dead.sequenceNumber) : s.title(place.entity)} close={close} wide
      foot={
        <>
          <Button onClick={close}>{common.actions.cancel}</Button>
          <Button look="primary" disabled={!ready} onClick={() => void send()}>{s.button}</Button>
        </>
      }
    >
      {dead && <p class="subtle">{s.resendHint}</p>}
      {binary
        ? <Notice kind="info">{s.binary}</Notice>
        : (
          <Field name={s.body} wrong={notJson ? s.notJson : undefined}>
            <textarea class="textarea" rows={6} data-autofocus value={draft.body} onInput={set('body')} />
          </Field>
        )}
      <div class="form-grid">
        <Field name={s.contentType}>
          <input class="input" value={draft.contentType} list="content-types" onInput={set('contentType')} />
        </Field>
        <Field name={s.subject}>{input('subject')}</Field>
        <Field name={s.id}>{input('messageId')}</Field>
        <Field name={s.session}>{input('sessionId')}</Field>
        <Field name={s.correlation}>{input('correlationId')}</Field>
        <Field name={s.ttl} hint={s.ttlHint}>{input('timeToLive')}</Field>
        <Field name={s.scheduled} hint={s.scheduledHint}>{input('scheduled', 'datetime-local')}</Field>
        {dead
          ? <Field name={s.target} hint={place.entity}>{input('target')}</Field>
          : <Field name={s.repeat}><input class="input" type="number" min="1" max="1000" value={draft.repeat} onInput={set('repeat')} /></Field>}
        <Field name={s.properties} hint={s.propertiesHint} wide>
          <textarea class="textarea" rows={3} value={draft.properties} onInput={set('properties')} />
        </Field>
      </div>
      <datalist id="content-types">
        <option value="application/json" />
        <option value="text/plain" />
        <option value="application/xml" />
      </datalist>
    </Dialog>
  );
}
