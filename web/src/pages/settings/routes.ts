// SPDX-License-Identifier: Apache-2.0
import type { Route } from '../../lib/router';

export const routes: Route[] = [
  { path: '/settings', title: 'Settings', load: () => import('./settings') },
];
