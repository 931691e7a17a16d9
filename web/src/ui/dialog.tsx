// SPDX-License-Identifier: Apache-2.0
// Dialogs on the browser's own element: focus is kept inside and returns to where it was. Every
// destructive action asks first: what, how many, and whether it can be taken back.
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { signal } from '@preact/signals';
import { count } from '../lib/format';
import { text } from '../text/common';
import { Button } from './basics';

interface DialogProps {
  title: string;
  close: () => void;
  wide?: boolean;
  foot?: ComponentChildren;
  children: ComponentChildren;
}

export function Dialog({ title, close, wide, foot, children }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    dialog?.showModal();
    dialog?.querySelector<HTMLElement>('[data-autofocus]')?.focus();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={box}
      class={`dialog${wide ? ' wide' : ''}`}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => {
        if (event.target === box.current) close();
      }}
    >
      <div class="dialog-head">
        <h2>{title}</h2>
        <Button small look="quiet" icon="close" label={text.actions.close} onClick={close} />
      </div>
      <div class="dialog-body">{children}</div>
      {foot && <div class="dialog-foot">{foot}</div>}
    </dialog>
  );
}

// --- confirmation -----------------------------------------------------------------------------

export interface Question {
  title: string; // "Delete 1,204 jobs?"
  what: ComponentChildren;
  action: string; // the word on the button
  danger?: boolean;
  reversible?: boolean | string; // a text says how
  count?: number;
  name?: string; // must be typed when there are more than a thousand, or when `type` is set
  type?: boolean;
}

interface Pending extends Question {
  answer: (yes: boolean) => void;
}

const pending = signal<Pending | undefined>(undefined);
const kMostWithoutTyping = 1_000;

// Asks; true when the person confirmed.
export function confirm(question: Question): Promise<boolean> {
  return new Promise((resolve) => {
    pending.value = {
      ...question,
      answer: (yes) => {
        pending.value = undefined;
        resolve(yes);
      },
    };
  });
}

export function ConfirmHost() {
  return pending.value ? <Confirm key={pending.value.title} {...pending.value} /> : null;
}

function Confirm(props: Pending) {
  const [typed, setTyped] = useState('');
  const many = props.type === true || (props.count ?? 0) > kMostWithoutTyping;
  const name = props.name ?? count(props.count);
  const ready = !many || typed === name;
  const { reversible } = props;
  return (
    <Dialog
      title={props.title}
      close={() => props.answer(false)}
      foot={
        <>
          <Button data-autofocus onClick={() => props.answer(false)}>{text.actions.cancel}</Button>
          <Button look={props.danger ? 'danger primary' : 'primary'} disabled={!ready} onClick={() => props.answer(true)}>
            {props.action}
          </Button>
        </>
      }
    >
      <div>{props.what}</div>
      {reversible !== undefined && (
        <p class="subtle">
          {typeof reversible === 'string' ? reversible : reversible ? text.confirm.reversible : text.confirm.irreversible}
        </p>
      )}
      {many && (
        <label class="field">
          <span>{text.confirm.typeName(name)}</span>
          <input class="input mono" value={typed} autocomplete="off" onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
      )}
    </Dialog>
  );
}

// --- menu -------------------------------------------------------------------------------------

export interface MenuItem {
  name: string;
  act: () => void;
  danger?: boolean;
  disabled?: boolean;
}

interface MenuProps {
  label: string;
  items: (MenuItem | false | undefined)[];
  quiet?: boolean; // in a row of a table
  children?: ComponentChildren;
}

export function Menu({ label, items, quiet, children }: MenuProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const shown = items.filter((item): item is MenuItem => Boolean(item));
  useEffect(() => {
    if (!open) return;
    root.current?.querySelector<HTMLElement>('[role=menuitem]')?.focus({ preventScroll: true });
    const away = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', away);
    document.addEventListener('focusin', away);
    return () => {
      document.removeEventListener('pointerdown', away);
      document.removeEventListener('focusin', away);
    };
  }, [open]);
  // Fixed to the window, so that a list that scrolls does not cut it off.
  useLayoutEffect(() => {
    const list = root.current?.querySelector<HTMLElement>('.menu-list');
    const button = root.current?.getBoundingClientRect();
    if (!open || !list || !button) return;
    const below = button.bottom + 4 + list.offsetHeight <= window.innerHeight;
    const top = below ? button.bottom + 4 : Math.max(8, button.top - 4 - list.offsetHeight);
    const left = Math.min(window.innerWidth - 8, Math.max(button.right, list.offsetWidth + 8)) - list.offsetWidth;
    list.style.setProperty('top', `${top}px`);
    list.style.setProperty('left', `${left}px`);
    const close = () => setOpen(false);
    window.addEventListener('scroll', close, true);
    window.addEventListener('resize', close);
    return () => {
      window.removeEventListener('scroll', close, true);
      window.removeEventListener('resize', close);
    };
  }, [open]);
  const onKey = (event: KeyboardEvent) => {
    if (!open) return;
    const buttons = [...(root.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    if (event.key === 'Escape') {
      setOpen(false);
      root.current?.querySelector('button')?.focus();
    } else if (event.key === 'ArrowDown') buttons[(at + 1) % buttons.length]?.focus();
    else if (event.key === 'ArrowUp') buttons[(at - 1 + buttons.length) % buttons.length]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  if (shown.length === 0) return null;
  return (
    <div class="menu" ref={root} onKeyDown={onKey}>
      {children ? (
        <Button aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)}>{children}</Button>
      ) : (
        <Button icon="more" look={quiet ? 'quiet' : undefined} label={label} aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)} />
      )}
      {open && (
        <div class="menu-list fixed" role="menu" aria-label={label}>
          {shown.map((item) => (
            <button
              key={item.name}
              type="button"
              role="menuitem"
              class={`menu-item${item.danger ? ' danger' : ''}`}
              disabled={item.disabled}
              onClick={() => {
                setOpen(false);
                item.act();
              }}
            >
              {item.name}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
