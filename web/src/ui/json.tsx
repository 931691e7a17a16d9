// SPDX-License-Identifier: Apache-2.0
// JSON as text with its parts marked. Nothing of it is ever markup.
import type { ComponentChildren } from 'preact';
import { visible } from '../lib/plain';
import { CopyButton } from './basics';

function string(value: string): string {
  return visible(JSON.stringify(value).replace(/\\u001b/g, '\u001b'));
}

function entries(value: object): [string, unknown][] {
  return Object.entries(value);
}

function write(value: unknown, indent: string): ComponentChildren {
  if (typeof value === 'string') return <span class="string">{string(value)}</span>;
  if (typeof value === 'number') return <span class="number">{String(value)}</span>;
  if (value === null || typeof value === 'boolean') return <span class="word">{String(value)}</span>;
  if (Array.isArray(value)) return block('[', ']', value.map((item) => write(item, `${indent}  `)), indent);
  if (typeof value !== 'object') return null;
  const members = entries(value).map(([name, member]) => (
    <>
      <span class="key">{string(name)}</span>: {write(member, `${indent}  `)}
    </>
  ));
  return block('{', '}', members, indent);
}

function block(open: string, close: string, items: ComponentChildren[], indent: string): ComponentChildren {
  if (items.length === 0) return open + close;
  return (
    <>
      {open}
      {items.map((item, i) => (
        <>
          {`\n${indent}  `}
          {item}
          {i < items.length - 1 ? ',' : ''}
        </>
      ))}
      {`\n${indent}${close}`}
    </>
  );
}

export function Json({ value, label }: { value: unknown; label: string }) {
  return (
    <div class="copyable">
      <pre class="code json" tabIndex={0} aria-label={label}>{write(value, '')}</pre>
      <CopyButton value={JSON.stringify(value, null, 2)} />
    </div>
  );
}

export function Code({ children, label }: { children: string; label: string }) {
  return (
    <div class="copyable">
      <pre class="code" tabIndex={0} aria-label={label}>{visible(children)}</pre>
      <CopyButton value={children} />
    </div>
  );
}
