// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { useResource } from '../../lib/resource';
import { params, place, setQuery } from '../../lib/router';
import { text as common } from '../../text/common';
import { jobs as text } from '../../text/jobs';
import { Button, Dialog, Field } from '../../ui';
import { localInput } from './bulk';
import { argument, kNoPage, kSingle, kTimes } from './filters';

const kFields = ['text', 'name', 'kind', 'queue', 'errorType', 'errorText', 'recurringId', 'arg', 'minAttempt', 'minDurationMs', ...kTimes] as const;

function isTime(name: string): boolean {
  return (kTimes as readonly string[]).includes(name);
}

function shown(name: string, value: string): string {
  const at = Date.parse(value);
  return isTime(name) && !Number.isNaN(at) ? localInput(new Date(at)) : value;
}

// Every filter of the search box as a field.
export function FilterForm({ close, queues }: { close: () => void; queues: string[] }) {
  const kinds = useResource<string[]>('/api/kinds');
  const { query } = place.value;
  const [form, setForm] = useState<Record<string, string>>(
    Object.fromEntries(kSingle.map((name) => [name, shown(name, query.get(name) ?? '')])),
  );
  const [labels, setLabels] = useState(params('label').join(', '));
  const wrong = form['arg'] && !argument(form['arg']) ? text.argHint : undefined;
  const submit = (event: Event) => {
    event.preventDefault();
    if (wrong) return;
    const change: Record<string, string> = {};
    for (const name of kFields) {
      const value = form[name] ?? '';
      change[name] = isTime(name) && value ? new Date(value).toISOString() : value;
    }
    setQuery({ ...change, label: labels.split(',').map((one) => one.trim()).filter(Boolean), ...kNoPage });
    close();
  };
  const type = (name: string) => (isTime(name) ? 'datetime-local' : name.startsWith('min') ? 'number' : 'text');
  const list = (name: string) => (name === 'kind' ? 'filter-kinds' : name === 'queue' ? 'filter-queues' : undefined);
  return (
    <Dialog
      title={text.moreFilters}
      close={close}
      wide
      foot={
        <>
          <Button onClick={close}>{common.actions.cancel}</Button>
          <Button look="primary" type="submit" form="filters">{text.apply}</Button>
        </>
      }
    >
      <form id="filters" class="form-grid" onSubmit={submit}>
        {kFields.map((name) => (
          <Field key={name} name={text.filterNames[name] ?? name} hint={name === 'arg' ? text.argHint : undefined} wrong={name === 'arg' ? wrong : undefined}>
            <input
              class="input"
              type={type(name)}
              step={isTime(name) ? 1 : undefined}
              min={name.startsWith('min') ? 0 : undefined}
              list={list(name)}
              value={form[name]}
              onInput={(event) => setForm({ ...form, [name]: event.currentTarget.value })}
            />
          </Field>
        ))}
        <Field name={text.labels} hint={text.enqueue.labelsHint}>
          <input class="input" value={labels} onInput={(event) => setLabels(event.currentTarget.value)} />
        </Field>
      </form>
      <datalist id="filter-kinds">{kinds.data?.map((kind) => <option key={kind} value={kind} />)}</datalist>
      <datalist id="filter-queues">{queues.map((name) => <option key={name} value={name} />)}</datalist>
    </Dialog>
  );
}
