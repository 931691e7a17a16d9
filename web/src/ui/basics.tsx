// SPDX-License-Identifier: Apache-2.0
// The small pieces of which pages are made.
import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import * as format from '../lib/format';
import { now } from '../lib/now';
import { href, navigate } from '../lib/router';
import { visible } from '../lib/plain';
import { states, text } from '../text/common';
import type { ApiError } from '../lib/api';
import type { Resource } from '../lib/resource';
import { Icon, type IconName } from './icons';

// --- links and buttons ------------------------------------------------------------------------

interface LinkProps extends Omit<JSX.HTMLAttributes<HTMLAnchorElement>, 'href'> {
  to: string; // a path inside the dashboard
  replace?: boolean;
  children?: ComponentChildren;
}

// Other buttons and modifiers keep their meaning of the browser: a new tab, a download.
export function Link({ to, replace = false, ...rest }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to, { replace });
  };
  return <a {...rest} href={href(to)} onClick={follow} />;
}

export interface ButtonProps extends Omit<JSX.HTMLAttributes<HTMLButtonElement>, 'icon'> {
  icon?: IconName;
  look?: 'primary' | 'danger' | 'danger primary' | 'quiet';
  small?: boolean;
  label?: string; // for a button that shows its icon only
  type?: 'button' | 'submit';
  disabled?: boolean;
  form?: string; // the id of the form that it submits from outside
  children?: ComponentChildren;
}

export function Button({ icon, look, small, label, children, type = 'button', ...rest }: ButtonProps) {
  const bare = children === undefined;
  const names = ['button', look ?? '', small ? 'small' : '', bare ? 'icon-only' : ''].join(' ');
  return (
    <button {...rest} type={type} class={names} aria-label={label} title={rest.title ?? label}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

export function CopyButton({ value, label = text.actions.copy }: { value: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(value);
    setCopied(true);
    window.setTimeout(() => setCopied(false), 1_500);
  };
  return (
    <Button
      small
      look="quiet"
      icon={copied ? 'check' : 'copy'}
      label={copied ? text.actions.copied : label}
      onClick={() => void copy()}
    />
  );
}

// The clipboard of the browser exists on loopback and under TLS; elsewhere the old way.
export async function copyText(value: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(value);
  const area = document.createElement('textarea');
  area.value = value;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

// --- badges -----------------------------------------------------------------------------------

export type Tone = 'slate' | 'blue' | 'violet' | 'green' | 'red' | 'amber' | 'cyan';

export function Badge(props: { icon?: IconName; tone?: Tone; title?: string; children: ComponentChildren }) {
  return (
    <span class={`badge ${props.tone ?? 'slate'}`} title={props.title}>
      {props.icon && <Icon name={props.icon} />}
      {props.children}
    </span>
  );
}

const kStateLooks: Record<string, [IconName, Tone]> = {
  AWAITING: ['hourglass', 'slate'],
  SCHEDULED: ['clock', 'cyan'],
  ENQUEUED: ['inbox', 'blue'],
  PROCESSING: ['play', 'violet'],
  PROCESSED: ['outside', 'violet'],
  SUCCEEDED: ['check-circle', 'green'],
  FAILED: ['cross-circle', 'red'],
  DELETED: ['trash', 'slate'],
};

export function stateLook(state: string): { icon: IconName; tone: Tone; name: string } {
  const [icon, tone] = kStateLooks[state] ?? ['info', 'slate'];
  return { icon, tone, name: states[state] ?? state };
}

export function StateBadge({ state }: { state: string }) {
  const look = stateLook(state);
  return (
    <Badge icon={look.icon} tone={look.tone}>
      {look.name}
    </Badge>
  );
}

export function Labels({ labels }: { labels: string[] }) {
  return (
    <>
      {labels.map((label) => (
        <Link key={label} class="label" to={`/jobs?state=ALL&label=${encodeURIComponent(label)}`}>
          {visible(label)}
        </Link>
      ))}
    </>
  );
}

// --- times and numbers ------------------------------------------------------------------------

export function RelativeTime({ at }: { at: string | number | undefined }) {
  const when = typeof at === 'number' ? at : format.ms(at);
  if (when === undefined) return <span class="muted">–</span>;
  return (
    <time dateTime={new Date(when).toISOString()} title={format.exactInstant(when)}>
      {format.instant(when, now.value)}
    </time>
  );
}

export function Duration({ ms }: { ms: number | undefined }) {
  if (ms === undefined) return <span class="muted">–</span>;
  return <span title={format.exactDuration(ms)}>{format.duration(ms)}</span>;
}

// The time that has gone by since, counting on.
export function Elapsed({ since }: { since: string | number | undefined }) {
  const from = typeof since === 'number' ? since : format.ms(since);
  if (from === undefined) return <span class="muted">–</span>;
  return <span title={format.exactInstant(from)}>{format.duration(Math.max(0, now.value - from))}</span>;
}

// --- cards and figures ------------------------------------------------------------------------

interface CardProps {
  title?: ComponentChildren;
  actions?: ComponentChildren;
  flush?: boolean;
  children: ComponentChildren;
}

export function Card({ title, actions, flush, children }: CardProps) {
  return (
    <section class="card">
      {(title || actions) && (
        <div class="card-head">
          {title ? <h2>{title}</h2> : <span />}
          {actions && <div class="row actions">{actions}</div>}
        </div>
      )}
      <div class={`card-body${flush ? ' flush' : ''}`}>{children}</div>
    </section>
  );
}

interface FigureProps {
  name: ComponentChildren;
  value: ComponentChildren;
  note?: ComponentChildren;
  to?: string;
  bad?: boolean;
}

export function Figure({ name, value, note, to, bad }: FigureProps) {
  const inside = (
    <>
      <span class="figure-name">{name}</span>
      <span class={`figure-value${bad ? ' bad' : ''}`}>{value}</span>
      {note && <span class="figure-note">{note}</span>}
    </>
  );
  return to ? (
    <Link class="figure" to={to}>
      {inside}
    </Link>
  ) : (
    <div class="figure">{inside}</div>
  );
}

export function Figures({ children }: { children: ComponentChildren }) {
  return <div class="figures">{children}</div>;
}

// What is false or empty is left out.
export type Fact = [name: string, value: ComponentChildren] | false | '' | null | undefined;

export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl class="facts">
      {facts.map(
        (fact) =>
          fact && (
            <>
              <dt>{fact[0]}</dt>
              <dd>{fact[1]}</dd>
            </>
          ),
      )}
    </dl>
  );
}

// --- notices ----------------------------------------------------------------------------------

type NoticeKind = 'info' | 'warning' | 'error' | 'plain';

export function Notice(props: { kind?: NoticeKind; icon?: IconName; children: ComponentChildren; action?: ComponentChildren }) {
  const kind = props.kind ?? 'plain';
  const icon = props.icon ?? (kind === 'info' || kind === 'plain' ? 'info' : 'warning');
  return (
    <div class={`notice ${kind}`} role={kind === 'error' ? 'alert' : undefined}>
      <Icon name={icon} />
      <div class="grow">{props.children}</div>
      {props.action}
    </div>
  );
}

export function ErrorNotice({ error, retry }: { error: ApiError; retry?: () => void }) {
  const title =
    error.status === 0 ? text.unreachable : error.status === 403 ? text.forbidden : text.failed;
  return (
    <Notice
      kind="error"
      action={retry && <Button small icon="refresh" onClick={retry}>{text.actions.retry}</Button>}
    >
      <strong>{title}.</strong> {error.status === 0 ? '' : visible(error.message)}
      {error.fields.map(({ field, reason }) => (
        <div key={field}>
          <code>{field}</code>: {visible(reason)}
        </div>
      ))}
    </Notice>
  );
}

// Shown above values that could not be read again.
export function StaleNotice({ at }: { at: number }) {
  return <Notice kind="warning">{text.stale(format.duration(Math.max(0, now.value - at)))}</Notice>;
}

export function Loading({ rows = 5 }: { rows?: number }) {
  return (
    <div class="stack-s card-body" role="status">
      <span class="sr">{text.list.loading}</span>
      {Array.from({ length: rows }, (_, i) => (
        <div class={`skeleton w${(i * 37) % 5}`} key={i} />
      ))}
    </div>
  );
}

// What a page shows of a resource: the value, or why there is none; a stale one says so.
export function Show<T>(props: { of: Resource<T>; rows?: number; children: (value: T) => ComponentChildren }) {
  const { data, error, at, refresh } = props.of;
  if (data === undefined)
    return error ? <ErrorNotice error={error} retry={refresh} /> : <Loading rows={props.rows ?? 5} />;
  return (
    <>
      {error && (error.status === 0 || error.status >= 500 ? <StaleNotice at={at} /> : <ErrorNotice error={error} retry={refresh} />)}
      {props.children(data)}
    </>
  );
}

// Every empty list says what would fill it, and the command that does.
export function EmptyState(props: { icon?: IconName; title: string; children?: ComponentChildren; command?: string | undefined }) {
  return (
    <div class="empty">
      <Icon name={props.icon ?? 'inbox'} />
      <strong>{props.title}</strong>
      {props.children && <p>{props.children}</p>}
      {props.command && <Command text={props.command} />}
    </div>
  );
}

export function Command({ text: command }: { text: string }) {
  return (
    <div class="command">
      <code tabIndex={0}>{command}</code>
      <CopyButton value={command} />
    </div>
  );
}

// --- progress ---------------------------------------------------------------------------------

export function ProgressBar(props: { done: number; total: number; failed?: number; label: string }) {
  const total = Math.max(props.total, 1);
  const failed = props.failed ?? 0;
  const whole = props.total === 0 ? 100 : Math.min(100, ((props.done + failed) / total) * 100);
  return (
    <div
      class="progress"
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(whole)}
    >
      <span style={{ width: `${props.total === 0 ? 100 : Math.min(100, (props.done / total) * 100)}%` }} />
      {failed > 0 && <span class="bad" style={{ width: `${Math.min(100, (failed / total) * 100)}%` }} />}
    </div>
  );
}

// --- tabs, fields -----------------------------------------------------------------------------

export interface Tab {
  id: string;
  name: string;
  count?: number | undefined;
  to: string;
}

// Tabs are places: each has an address, so they are links.
export function Tabs({ tabs, current, label }: { tabs: Tab[]; current: string; label: string }) {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map((tab) => (
        <Link key={tab.id} class="tab" to={tab.to} replace aria-current={tab.id === current ? 'page' : undefined}>
          {tab.name}
          {tab.count !== undefined && <span class="count">{format.shortCount(tab.count)}</span>}
        </Link>
      ))}
    </nav>
  );
}

export function Field(props: { name: string; hint?: ComponentChildren; wrong?: string | undefined; wide?: boolean; children: ComponentChildren }) {
  return (
    <label class={`field${props.wide ? ' wide' : ''}`}>
      <span>{props.name}</span>
      {props.children}
      {props.hint && <span class="hint">{props.hint}</span>}
      {props.wrong && <span class="wrong" role="alert">{props.wrong}</span>}
    </label>
  );
}

export interface Choice<T extends string> {
  value: T;
  name: string;
}

// A few choices of which one holds.
export function Segments<T extends string>(props: { label: string; value: T; choices: Choice<T>[]; onChange: (value: T) => void }) {
  return (
    <div class="group" role="group" aria-label={props.label}>
      {props.choices.map(({ value, name }) => (
        <Button key={value} small aria-pressed={value === props.value} onClick={() => props.onChange(value)}>
          {name}
        </Button>
      ))}
    </div>
  );
}

export function PageHead(props: { title: ComponentChildren; sub?: ComponentChildren; actions?: ComponentChildren; crumb?: { to: string; name: string } }) {
  return (
    <header class="page-head">
      {props.crumb && (
        <nav class="crumbs" aria-label="Breadcrumb">
          <Link to={props.crumb.to}>{props.crumb.name}</Link>
          <Icon name="right" />
        </nav>
      )}
      <div class="row-between">
        <h1 tabIndex={-1}>{props.title}</h1>
        {props.actions && <div class="row actions">{props.actions}</div>}
      </div>
      {props.sub && <div class="page-sub">{props.sub}</div>}
    </header>
  );
}
