// SPDX-License-Identifier: Apache-2.0
import type { Route } from '../../lib/router';

export const routes: Route[] = [
  { path: '/jobs', title: 'Jobs', load: () => import('./jobs') },
  { path: '/jobs/:id', title: 'Job', load: () => import('./job') },
];
