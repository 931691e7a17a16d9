// SPDX-License-Identifier: Apache-2.0
import type { Route } from '../../lib/router';

export const routes: Route[] = [
  { path: '/overview', title: 'Overview', load: () => import('./overview') },
];
