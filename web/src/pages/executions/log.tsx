// SPDX-License-Identifier: Apache-2.0
// The output of an execution, read on where it stopped: each part says where the next one begins,
// so a broken connection or a new server neither repeats nor loses a line.
import { useEffect, useState } from 'preact/hooks';
import { api, asApiError, isAbort, query, url } from '../../lib/api';
import { param, setQuery } from '../../lib/router';
import { executions as words } from '../../text/executions';
import { Icon, LogConsole, Notice, Segments, type ConsoleLine } from '../../ui';
import { executionApi, type LogLines, type Replica } from './execution';

interface Line extends ConsoleLine {
  stream: string;
}

interface Tail {
  lines: Line[];
  ended: boolean;
  broken: boolean;
}

const kWaitS = 20;
const kMostKept = 20_000;

function levelOf(text: string): string | undefined {
  const found = /\b(ERROR|FATAL|CRITICAL|WARN|WARNING|INFO)\b/i.exec(text.slice(0, 80))?.[1]?.toUpperCase();
  if (!found) return undefined;
  if (found.startsWith('WARN')) return 'WARN';
  return found === 'INFO' ? 'INFO' : 'ERROR';
}

function retryMs(): number {
  return 1_000 + Math.random() * 2_000;
}

// Follows until the log has ended or the page is left.
async function follow(path: (after: number) => string, abort: AbortSignal, tell: (change: (old: Tail) => Tail) => void): Promise<void> {
  let next = 0;
  while (!abort.aborted) {
    try {
      const part = await api.get<LogLines>(path(next), abort);
      const start = next;
      next = part.next;
      const more = part.lines.map((line, i) => ({ n: `${start}.${i}`, at: line.at, text: line.text, stream: line.stream, level: levelOf(line.text) }) as Line);
      tell((old) => ({ lines: more.length > 0 ? [...old.lines, ...more].slice(-kMostKept) : old.lines, ended: part.ended, broken: false }));
      if (part.ended) return;
    } catch (error) {
      if (isAbort(error)) return;
      if (asApiError(error).status === 404) return tell((old) => ({ ...old, ended: true }));
      tell((old) => ({ ...old, broken: true }));
      await new Promise((resolve) => window.setTimeout(resolve, retryMs()));
    }
  }
}

export function ExecutionLog({ name, replicas }: { name: string; replicas: Replica[] }) {
  const [tail, setTail] = useState<Tail>({ lines: [], ended: false, broken: false });
  const replica = param('replica');
  const stream = param('stream');
  useEffect(() => {
    setTail({ lines: [], ended: false, broken: false });
    const abort = new AbortController();
    void follow((after) => query(`${executionApi(name)}/logs`, { replica, after: after || undefined, wait: kWaitS }), abort.signal, setTail);
    return () => abort.abort();
  }, [name, replica]);
  const shown = stream ? tail.lines.filter((line) => line.stream === stream) : tail.lines;
  return (
    <div class="stack-s">
      {tail.broken && <Notice kind="warning" icon="unplug">{words.log.reconnect}</Notice>}
      <LogConsole
        label={words.log.label(name)} lines={shown} live={!tail.ended}
        actions={
          <>
            {replicas.length > 1 && (
              <select class="select" aria-label={words.log.replica} value={replica} onChange={(event) => setQuery({ replica: event.currentTarget.value }, { replace: true })}>
                {replicas.map((one, i) => <option key={one.name} value={i === 0 ? '' : one.name}>{one.name}</option>)}
              </select>
            )}
            <Segments
              label={words.log.stream} value={stream} onChange={(value) => setQuery({ stream: value }, { replace: true })}
              choices={[{ value: '', name: words.log.both }, { value: 'stdout', name: words.log.stdout }, { value: 'stderr', name: words.log.stderr }]}
            />
            <a class="button small" href={url(query(`${executionApi(name)}/logs`, { replica, format: 'text' }))} download={`${name}.log`}>
              <Icon name="download" /> Download
            </a>
          </>
        }
      />
    </div>
  );
}
