// SPDX-License-Identifier: Apache-2.0
import type { Route } from '../../lib/router';

export const routes: Route[] = [
  { path: '/recurring-jobs', title: 'Recurring jobs', load: () => import('./list') },
  { path: '/recurring-jobs/:id', title: 'Recurring job', load: () => import('./detail') },
];
