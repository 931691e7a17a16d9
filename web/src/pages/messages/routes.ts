// SPDX-License-Identifier: Apache-2.0
import type { Route } from '../../lib/router';
import { messages as words } from '../../text/messages';

export const routes: Route[] = [
  { path: '/messages', title: words.title, load: () => import('./list') },
  { path: '/messages/:namespace/:entity', title: words.title, load: () => import('./entity') },
  { path: '/messages/:namespace/:entity/dead-letter', title: words.tabs.dead, load: () => import('./dead_letter') },
  { path: '/messages/:namespace/:entity/:sequence', title: words.title, load: () => import('./detail') },
];
