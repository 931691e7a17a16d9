// SPDX-License-Identifier: Apache-2.0
import type { Route } from '../../lib/router';

export const routes: Route[] = [
  { path: '/servers', title: 'Servers', load: () => import('./servers') },
  { path: '/servers/:id', title: 'Server', load: () => import('./server') },
  { path: '/busy', title: 'Busy', load: () => import('./busy') },
];
