// SPDX-License-Identifier: Apache-2.0
// Short messages that say how an action went. Errors stay until they are closed.
import { signal } from '@preact/signals';
import { asApiError, isAbort } from './api';

export interface Toast {
  id: number;
  kind: 'done' | 'error';
  text: string;
  link?: { href: string; text: string } | undefined;
}

export const toasts = signal<Toast[]>([]);
let last = 0;
const kShownMs = 6_000;

export function closeToast(id: number): void {
  toasts.value = toasts.peek().filter((toast) => toast.id !== id);
}

export function toast(text: string, link?: Toast['link']): void {
  const id = ++last;
  toasts.value = [...toasts.peek().slice(-4), { id, kind: 'done', text, link }];
  window.setTimeout(() => closeToast(id), kShownMs);
}

export function toastError(error: unknown): void {
  if (isAbort(error)) return;
  const { message, fields } = asApiError(error);
  const details = fields.map(({ field, reason }) => `${field}: ${reason}`).join('; ');
  const text = details && !message.includes(details) ? `${message} (${details})` : message;
  toasts.value = [...toasts.peek().slice(-4), { id: ++last, kind: 'error', text }];
}

// Runs an action and says how it went; true when it went well.
export async function attempt(action: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await action();
    if (done) toast(done);
    return true;
  } catch (error) {
    toastError(error);
    return false;
  }
}
