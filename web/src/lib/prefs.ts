// SPDX-License-Identifier: Apache-2.0
// What a person chose in the control centre. The theme is a cookie as well, so that the server can
// set it before the first paint; the rest stays in the browser.
import { effect, signal } from '@preact/signals';
import { contextPath } from './base';

export type Theme = 'light' | 'system' | 'dark';
export type DateStyle = 'ago' | 'locale' | 'browser' | 'iso';
export type Density = 'comfortable' | 'compact';

export interface Prefs {
  theme: Theme;
  dates: DateStyle;
  zone: string; // "" is the browser's
  density: Density;
  shortcuts: boolean;
  columns: string[]; // extra columns of the list of jobs
  pageSize: number;
}

const kKey = 'jobmill.prefs';
const kDefaults: Prefs = {
  theme: 'system',
  dates: 'ago',
  zone: '',
  density: 'comfortable',
  shortcuts: true,
  columns: [],
  pageSize: 20,
};

function stored(): Partial<Prefs> {
  try {
    return JSON.parse(localStorage.getItem(kKey) ?? '{}') as Partial<Prefs>;
  } catch {
    return {}; // no storage, or not ours: the defaults do
  }
}

export const prefs = signal<Prefs>({ ...kDefaults, ...stored() });

export function setPref<K extends keyof Prefs>(name: K, value: Prefs[K]): void {
  prefs.value = { ...prefs.peek(), [name]: value };
}

effect(() => {
  const { theme, density } = prefs.value;
  document.documentElement.dataset['theme'] = theme;
  document.documentElement.dataset['density'] = density;
  const path = contextPath || '/';
  document.cookie = `jobmill-theme=${theme}; path=${path}; max-age=31536000; SameSite=Strict`;
  try {
    localStorage.setItem(kKey, JSON.stringify(prefs.value));
  } catch {
    // a browser without storage forgets at the end of the visit
  }
});

export function zone(): string {
  return prefs.value.zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
}
