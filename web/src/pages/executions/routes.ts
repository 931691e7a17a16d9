// SPDX-License-Identifier: Apache-2.0
import type { Route } from '../../lib/router';
import { executions as words } from '../../text/executions';

export const routes: Route[] = [
  { path: '/executions', title: words.title, load: () => import('./list') },
  { path: '/executions/jobs', title: words.tabs.jobs, load: () => import('./jobs') },
  { path: '/executions/:id', title: words.title, load: () => import('./detail') },
];
