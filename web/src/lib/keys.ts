// SPDX-License-Identifier: Apache-2.0
// Keyboard shortcuts. None fires inside a field or under a dialog, and all can be switched off in
// the control centre. The newest handler of a key is asked first; false passes it on.
import { useEffect, useRef } from 'preact/hooks';
import { prefs } from './prefs';

// Nothing or true: the key is dealt with.
type Handler = (event: KeyboardEvent) => boolean | void;
export type Shortcuts = Record<string, Handler>;

const layers: { current: Shortcuts }[] = [];
let prefix = '';
let prefixTimer = 0;
const kPrefixMs = 1_200;

function inField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  if (target instanceof HTMLInputElement)
    return !['checkbox', 'radio', 'button', 'submit'].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

function run(key: string, event: KeyboardEvent): boolean {
  for (const layer of [...layers].reverse()) {
    const handler = layer.current[key];
    if (handler && handler(event) !== false) {
      event.preventDefault();
      return true;
    }
  }
  return false;
}

function hasPrefix(key: string): boolean {
  return layers.some((layer) => Object.keys(layer.current).some((name) => name.startsWith(`${key} `)));
}

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
    run('Ctrl+K', event);
    return;
  }
  if (!prefs.peek().shortcuts || event.ctrlKey || event.metaKey || event.altKey) return;
  if (inField(event.target) || document.querySelector('dialog[open]')) return;
  const key = prefix ? `${prefix} ${event.key}` : event.key;
  window.clearTimeout(prefixTimer);
  prefix = '';
  if (run(key, event)) return;
  if (hasPrefix(event.key)) {
    prefix = event.key;
    prefixTimer = window.setTimeout(() => (prefix = ''), kPrefixMs);
  }
}

document.addEventListener('keydown', onKey);

// Keys as in KeyboardEvent.key, "g j" for sequences, "Ctrl+K". They hold while the component lives.
export function useShortcuts(shortcuts: Shortcuts): void {
  const layer = useRef(shortcuts);
  layer.current = shortcuts;
  useEffect(() => {
    layers.push(layer);
    return () => {
      layers.splice(layers.indexOf(layer), 1);
    };
  }, []);
}
