// SPDX-License-Identifier: Apache-2.0
// The address bar is the state of a page: path, filters, sort, selection and time range are all in
// it, so that links can be shared and Back works. Paths in this program are relative to the
// dashboard ("/jobs?state=FAILED"); this file alone knows what stands before them.
import { computed, signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { dashboardPath } from './base';

export interface PageProps {
  params: Record<string, string>;
}

export interface Route {
  path: string; // "/jobs/:id"
  title: string;
  load: () => Promise<{ default: ComponentType<PageProps> }>;
}

export interface Place {
  path: string;
  query: URLSearchParams;
}

function here(): Place {
  const path = window.location.pathname;
  const inside = path.startsWith(dashboardPath) ? path.slice(dashboardPath.length) : path;
  return { path: inside || '/', query: new URLSearchParams(window.location.search) };
}

export const place = signal<Place>(here());
export const path = computed(() => place.value.path);

window.addEventListener('popstate', () => {
  place.value = here();
});

// What an <a href> needs for a path inside the dashboard.
export function href(inside: string): string {
  return dashboardPath + inside;
}

export function navigate(inside: string, options: { replace?: boolean } = {}): void {
  const before = place.value.path;
  const url = href(inside);
  if (options.replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  place.value = here();
  if (place.value.path !== before) window.scrollTo(0, 0);
}

export type QueryChange = Record<string, string | string[] | number | null | undefined>;

// The same path with some parameters changed; null, undefined and "" remove one.
export function withQuery(change: QueryChange, from: Place = place.peek()): string {
  const query = new URLSearchParams(from.query);
  for (const [name, value] of Object.entries(change)) {
    query.delete(name);
    if (Array.isArray(value)) value.forEach((one) => query.append(name, one));
    else if (value !== null && value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return from.path + (text ? `?${text}` : '');
}

export function setQuery(change: QueryChange, options: { replace?: boolean } = {}): void {
  navigate(withQuery(change), options);
}

export function param(name: string): string {
  return place.value.query.get(name) ?? '';
}

export function params(name: string): string[] {
  return place.value.query.getAll(name);
}

export interface Match {
  route: Route;
  params: Record<string, string>;
}

function matchOne(route: Route, parts: string[]): Match | undefined {
  const wanted = route.path.split('/');
  if (wanted.length !== parts.length) return undefined;
  const found: Record<string, string> = {};
  for (const [i, want] of wanted.entries()) {
    const have = parts[i] ?? '';
    if (want.startsWith(':')) found[want.slice(1)] = decodeURIComponent(have);
    else if (want !== have) return undefined;
  }
  return { route, params: found };
}

export function match(routes: Route[], at: string): Match | undefined {
  const parts = at.replace(/\/$/, '').split('/');
  for (const route of routes) {
    try {
      const found = matchOne(route, parts);
      if (found) return found;
    } catch {
      return undefined; // a path that is no percent-encoding is no page
    }
  }
  return undefined;
}
