// SPDX-License-Identifier: Apache-2.0
// Every page. An area keeps its routes in pages/<area>/routes.ts; its pages are loaded on demand.
import type { Route } from './lib/router';

const modules = import.meta.glob<{ routes: Route[] }>('./pages/*/routes.ts', { eager: true });

export const routes: Route[] = Object.values(modules).flatMap((module) => module.routes);

export function hasPage(path: string): boolean {
  return routes.some((route) => route.path === path);
}
