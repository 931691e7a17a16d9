// SPDX-License-Identifier: Apache-2.0
import type { Route } from '../../lib/router';
import { autoscaling as words } from '../../text/autoscaling';

export const routes: Route[] = [
  { path: '/autoscaling', title: words.title, load: () => import('./list') },
  { path: '/autoscaling/:target', title: words.title, load: () => import('./target') },
];
