// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { api, asApiError, type ApiError } from '../../lib/api';
import { useResource } from '../../lib/resource';
import { toast } from '../../lib/toast';
import { text as common } from '../../text/common';
import { jobs } from '../../text/jobs';
import { Button, Dialog, ErrorNotice, Field } from '../../ui';

const text = jobs.enqueue;

interface Form {
  kind: string;
  args: string;
  queue: string;
  when: string;
  priority: string;
  retries: string;
  labels: string;
  name: string;
  count: string;
}

const kEmpty: Form = { kind: '', args: '[]', queue: '', when: '', priority: '', retries: '', labels: '', name: '', count: '' };

export function parsedArguments(text_: string): { args?: unknown[]; named?: object } | undefined {
  try {
    const value = JSON.parse(text_.trim() || '[]') as unknown;
    if (Array.isArray(value)) return { args: value };
    return value !== null && typeof value === 'object' ? { named: value } : undefined;
  } catch {
    return undefined;
  }
}

function spec(form: Form): Record<string, unknown> {
  const labels = form.labels.split(',').map((label) => label.trim()).filter(Boolean);
  return {
    kind: form.kind.trim(),
    ...parsedArguments(form.args),
    ...(form.queue && { queue: form.queue }),
    ...(form.name && { name: form.name }),
    ...(form.when && { run_at: new Date(form.when).toISOString() }),
    ...(form.priority && { priority: Number(form.priority) }),
    ...(form.retries && { retries: Number(form.retries) }),
    ...(labels.length > 0 && { labels }),
    ...(form.count && Number(form.count) > 1 && { count: Number(form.count) }),
  };
}

interface Inserted {
  id?: string;
  count?: number;
  jobs?: { id: string }[];
}

export function Enqueue({ close, queues, done }: { close: () => void; queues: string[]; done: () => void }) {
  const kinds = useResource<string[]>('/api/kinds');
  const [form, setForm] = useState(kEmpty);
  const [error, setError] = useState<ApiError | undefined>();
  const set = (name: keyof Form) => ({
    value: form[name],
    onInput: (event: Event) => setForm({ ...form, [name]: (event.currentTarget as HTMLInputElement).value }),
  });
  const wrong = parsedArguments(form.args) ? undefined : text.notJson;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (wrong) return;
    try {
      const made = await api.post<Inserted>('/v1/jobs', spec(form));
      const id = made.id ?? made.jobs?.[0]?.id;
      toast(jobs.done.enqueued(made.count ?? 1), id ? { href: `/jobs/${id}`, text: text.show } : undefined);
      done();
      close();
    } catch (reason) {
      setError(asApiError(reason));
    }
  };
  return (
    <Dialog
      title={text.title}
      close={close}
      wide
      foot={
        <>
          <Button onClick={close}>{common.actions.cancel}</Button>
          <Button look="primary" type="submit" form="enqueue" disabled={wrong !== undefined}>{text.submit}</Button>
        </>
      }
    >
      {error && <ErrorNotice error={error} />}
      <form id="enqueue" class="form-grid" onSubmit={(event) => void submit(event)}>
        <Field name={text.kind} hint={text.kindHint}>
          <input class="input" required list="kinds" data-autofocus {...set('kind')} />
          <datalist id="kinds">{kinds.data?.map((kind) => <option key={kind} value={kind} />)}</datalist>
        </Field>
        <Field name={text.queue}>
          <input class="input" list="queues" placeholder="default" {...set('queue')} />
          <datalist id="queues">{queues.map((name) => <option key={name} value={name} />)}</datalist>
        </Field>
        <Field name={text.args} hint={text.argsHint} wrong={wrong} wide>
          <textarea class="textarea" spellcheck={false} {...set('args')} />
        </Field>
        <Field name={text.when} hint={text.whenHint}>
          <input class="input" type="datetime-local" step={1} {...set('when')} />
        </Field>
        <Field name={text.labels} hint={text.labelsHint}>
          <input class="input" placeholder="tenant:acme" {...set('labels')} />
        </Field>
        <details class="wide">
          <summary>{text.more}</summary>
          <div class="form-grid more-fields">
            <Field name={text.name}><input class="input" {...set('name')} /></Field>
            <Field name={text.priority}><input class="input" type="number" min={0} max={9} placeholder="0" {...set('priority')} /></Field>
            <Field name={text.retries}><input class="input" type="number" min={0} placeholder="10" {...set('retries')} /></Field>
            <Field name={text.count} hint={text.countHint}><input class="input" type="number" min={1} max={1000000} placeholder="1" {...set('count')} /></Field>
          </div>
        </details>
      </form>
    </Dialog>
  );
}
