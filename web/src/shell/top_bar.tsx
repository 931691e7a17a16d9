// SPDX-License-Identifier: Apache-2.0
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { liveState } from '../lib/live';
import { logout, session } from '../lib/session';
import { attempt } from '../lib/toast';
import { text } from '../text/common';
import { Button, Icon, type IconName } from '../ui';
import { Bell } from './bell';
import { ControlCentre } from './control_centre';

export function TopBar(props: { openNav: () => void; openPalette: () => void }) {
  return (
    <header class="topbar">
      <span class="nav-button">
        <Button look="quiet" icon="menu" label={text.nav.open} onClick={props.openNav} />
      </span>
      <button type="button" class="palette-button" onClick={props.openPalette} aria-keyshortcuts="Control+K" title={text.palette.title}>
        <Icon name="search" />
        <span class="grow">{text.palette.title}</span>
        <kbd>Ctrl K</kbd>
      </button>
      <div class="row topbar-end">
        <LiveMark />
        <Bell />
        <Popover icon="sun" label={text.theme.title}>
          <ControlCentre />
        </Popover>
        <Account />
      </div>
    </header>
  );
}

function LiveMark() {
  const state = liveState.value;
  return (
    <span class={`live ${state}`} title={text.live[`${state}Title`]} role="status">
      <Icon name={state === 'polling' ? 'refresh' : 'live'} />
      <span class="live-word">{text.live[state]}</span>
    </span>
  );
}

function Account() {
  const who = session.value;
  if (!who || who.anonymous || !who.user) return null; // nobody can sign out
  return (
    <Popover icon="user" label={text.account.signedInAs(who.user, who.role)}>
      <p class="strong break">{who.user}</p>
      <p class="muted small">{who.role}</p>
      <Button small onClick={() => void attempt(logout)}>{text.account.signOut}</Button>
    </Popover>
  );
}

interface PopoverProps {
  icon: IconName;
  label: string;
  mark?: ComponentChildren;
  children: ComponentChildren;
}

export function Popover({ icon, label, mark, children }: PopoverProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
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
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || !open) return;
    setOpen(false);
    root.current?.querySelector('button')?.focus();
    event.stopPropagation();
    event.preventDefault();
  };
  return (
    <div class="menu" ref={root} onKeyDown={onKey}>
      <Button look="quiet" icon={icon} label={label} aria-haspopup="dialog" aria-expanded={open} onClick={() => setOpen(!open)} />
      {mark}
      {open && (
        <div class="menu-list popover" role="dialog" aria-label={label}>
          {children}
        </div>
      )}
    </div>
  );
}
