// SPDX-License-Identifier: Apache-2.0
import type { Route } from '../../lib/router';

export const routes: Route[] = [
  { path: '/queues', title: 'Queues', load: () => import('./queues') },
  { path: '/queues/:name', title: 'Queue', load: () => import('./queue') },
];
