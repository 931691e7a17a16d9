// SPDX-License-Identifier: Apache-2.0
// Create or edit, while the server says when it would run; an edit shows what it changes.
import { useEffect, useState } from 'preact/hooks';
import { api, asApiError, isAbort, type ApiError } from '../../lib/api';
import { visible } from '../../lib/plain';
import { zone as ownZone } from '../../lib/prefs';
import { useResource } from '../../lib/resource';
import { toast } from '../../lib/toast';
import type { Preview, Recurring } from '../../lib/types';
import { text as common } from '../../text/common';
import { jobs as words } from '../../text/jobs';
import { recurring } from '../../text/recurring';
import { Button, Dialog, ErrorNotice, Field } from '../../ui';
import { parsedArguments } from '../jobs/enqueue';
import { FireTimes } from './fire_times';

const text = recurring.form;
const kShown = 5;
const kTypingMs = 350;

interface Form {
  id: string;
  schedule: string;
  zone: string;
  dst: string;
  kind: string;
  args: string;
  queue: string;
  name: string;
  labels: string;
  missed: string;
  missedWithin: string;
  maxConcurrent: string;
}

function formOf(job: Recurring | undefined): Form {
  const spec = job?.spec ?? {};
  return {
    id: job?.id ?? '',
    schedule: job?.scheduleExpression ?? '0 2 * * *',
    zone: job?.zoneId ?? ownZone(),
    dst: job?.dst ?? 'real-time',
    kind: String(spec['kind'] ?? ''),
    args: JSON.stringify(spec['named'] ?? spec['args'] ?? [], null, 2),
    queue: String(spec['queue'] ?? ''),
    name: String(spec['name'] ?? ''),
    labels: ((spec['labels'] as string[] | undefined) ?? []).join(', '),
    missed: job?.missed ?? 'once',
    missedWithin: job?.missedWithin ?? 'PT15M',
    maxConcurrent: String(job?.maxConcurrent ?? 1),
  };
}

// What the form does not show stays as it was.
function bodyOf(form: Form, job: Recurring | undefined): Record<string, unknown> {
  const { args: _args, named: _named, ...kept } = job?.spec ?? {};
  const labels = form.labels.split(',').map((label) => label.trim()).filter(Boolean);
  return {
    schedule: form.schedule,
    zone: form.zone,
    dst: form.dst,
    missed: form.missed,
    ...(form.missed === 'within' && { missed_within: form.missedWithin }),
    ...(job?.missedMax !== undefined && { missed_max: job.missedMax }),
    max_concurrent: Number(form.maxConcurrent) || 1,
    ...(job?.paused && { paused: true }),
    spec: {
      ...kept,
      kind: form.kind,
      ...parsedArguments(form.args),
      ...(form.queue && { queue: form.queue }),
      ...(form.name && { name: form.name }),
      labels,
    },
  };
}

function usePreview(form: Form): { preview: Preview | undefined; error: ApiError | undefined } {
  const [state, setState] = useState<{ preview?: Preview | undefined; error?: ApiError | undefined }>({});
  useEffect(() => {
    const abort = new AbortController();
    const timer = window.setTimeout(() => {
      api
        .post<Preview>('/v1/schedules/preview', { schedule: form.schedule, zone: form.zone, dst: form.dst, n: kShown }, abort.signal)
        .then(
          (preview) => setState({ preview }),
          (error: unknown) => isAbort(error) || setState({ error: asApiError(error) }),
        );
    }, kTypingMs);
    return () => {
      window.clearTimeout(timer);
      abort.abort();
    };
  }, [form.schedule, form.zone, form.dst]);
  return { preview: state.preview, error: state.error };
}

export function RecurringForm({ job, close, done }: { job: Recurring | undefined; close: () => void; done: () => void }) {
  const full = useResource<Recurring>(job ? `/v1/recurring/${encodeURIComponent(job.id)}` : null);
  if (job && !full.data && !full.error) return null;
  return <Fields job={job && { ...job, ...full.data }} close={close} done={done} />;
}

function Fields({ job, close, done }: { job: Recurring | undefined; close: () => void; done: () => void }) {
  const [form, setForm] = useState(formOf(job));
  const [error, setError] = useState<ApiError | undefined>();
  const { preview, error: wrongSchedule } = usePreview(form);
  const before = useResource<Preview>(job ? `/api/recurring-jobs/${encodeURIComponent(job.id)}/preview?n=${kShown}` : null);
  const set = (name: keyof Form) => ({
    value: form[name],
    onInput: (event: Event) => setForm({ ...form, [name]: (event.currentTarget as HTMLInputElement).value }),
  });
  const wrongArgs = parsedArguments(form.args) ? undefined : words.enqueue.notJson;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (wrongArgs) return;
    try {
      await api.put(`/api/recurring-jobs/${encodeURIComponent(form.id)}`, bodyOf(form, job));
      toast(recurring.done.saved, { href: `/recurring-jobs/${encodeURIComponent(form.id)}`, text: words.enqueue.show });
      done();
      close();
    } catch (reason) {
      setError(asApiError(reason));
    }
  };
  const same = JSON.stringify(before.data?.next.map((one) => one.utc)) === JSON.stringify(preview?.next.map((one) => one.utc));
  return (
    <Dialog
      title={job ? text.edit(visible(job.id)) : text.create}
      close={close}
      wide
      foot={
        <>
          <Button onClick={close}>{common.actions.cancel}</Button>
          <Button look="primary" type="submit" form="recurring-form" disabled={Boolean(wrongSchedule || wrongArgs)}>{text.save}</Button>
        </>
      }
    >
      {error && <ErrorNotice error={error} />}
      <form id="recurring-form" class="form-grid" onSubmit={(event) => void submit(event)}>
        {!job && <Field name={text.id} hint={text.idHint}><input class="input" required maxLength={127} pattern="[\dA-Za-z\-_\(\),.]+" data-autofocus {...set('id')} /></Field>}
        <Field name={text.schedule} hint={preview?.human ?? text.scheduleHint} wrong={wrongSchedule && visible(wrongSchedule.fields[0]?.reason ?? wrongSchedule.message)}>
          <input class="input mono" required {...set('schedule')} />
        </Field>
        <Field name={text.zone}>
          <input class="input" list="zones" {...set('zone')} />
          <datalist id="zones">{['UTC', ...Intl.supportedValuesOf('timeZone')].map((name) => <option key={name} value={name} />)}</datalist>
        </Field>
        <Field name={text.kind}><input class="input" required {...set('kind')} /></Field>
        <Field name={text.args} wrong={wrongArgs} wide><textarea class="textarea" spellcheck={false} {...set('args')} /></Field>
        <Field name={text.queue}><input class="input" placeholder="default" {...set('queue')} /></Field>
        <Field name={text.name}><input class="input" {...set('name')} /></Field>
        <Field name={text.labels} hint={words.enqueue.labelsHint}><input class="input" {...set('labels')} /></Field>
        <Field name={text.concurrent}><input class="input" type="number" min={1} {...set('maxConcurrent')} /></Field>
        <Field name={text.missed}>
          <select class="select" {...set('missed')}>
            {Object.entries(recurring.missedChoices).map(([value, name]) => <option key={value} value={value}>{name}</option>)}
          </select>
        </Field>
        {form.missed === 'within' && <Field name={text.missedWithin}><input class="input" {...set('missedWithin')} /></Field>}
        <Field name={text.dst}>
          <select class="select" {...set('dst')}>
            {Object.entries(recurring.dstChoices).map(([value, name]) => <option key={value} value={value}>{name}</option>)}
          </select>
        </Field>
      </form>
      {preview && (
        <div class={before.data && !same ? 'grid-2' : ''}>
          {before.data && !same && (
            <section>
              <h3>{text.before}</h3>
              <FireTimes times={before.data.next} zone={job?.zoneId ?? ''} label={text.before} />
            </section>
          )}
          <section>
            <h3>{before.data ? (same ? text.same : text.after) : text.preview}</h3>
            <FireTimes times={preview.next} zone={form.zone} label={text.preview} />
          </section>
        </div>
      )}
    </Dialog>
  );
}
