// SPDX-License-Identifier: Apache-2.0
// What the navigation, the palette and the g-sequences lead to.
import { can, type Scope } from '../lib/session';
import { hasPage } from '../routes';
import { text } from '../text/common';
import type { IconName } from '../ui/icons';

export interface Place {
  path: string;
  name: string;
  icon: IconName;
  key?: string; // after g
  scope?: Scope;
}

export interface Section {
  name: string;
  places: Place[];
}

const kSections: Section[] = [
  {
    name: text.nav.work,
    places: [
      { path: '/overview', name: text.nav.overview, icon: 'overview', key: 'o' },
      { path: '/jobs', name: text.nav.jobs, icon: 'jobs', key: 'j' },
      { path: '/queues', name: text.nav.queues, icon: 'queues', key: 'q' },
      { path: '/failures', name: text.nav.failures, icon: 'failures', key: 'f' },
      { path: '/recurring-jobs', name: text.nav.recurring, icon: 'recurring', key: 'r' },
      { path: '/busy', name: text.nav.busy, icon: 'busy' },
    ],
  },
  {
    name: text.nav.scaling,
    places: [
      { path: '/autoscaling', name: text.nav.autoscaling, icon: 'autoscaling', key: 'a' },
      { path: '/servers', name: text.nav.servers, icon: 'servers', key: 's' },
      { path: '/executions', name: text.nav.executions, icon: 'executions', key: 'e' },
      { path: '/messages', name: text.nav.messages, icon: 'messages', key: 'm' },
    ],
  },
  {
    name: text.nav.admin,
    places: [
      { path: '/audit', name: text.nav.audit, icon: 'audit' },
      { path: '/settings', name: text.nav.settings, icon: 'settings' },
    ],
  },
];

export function sections(): Section[] {
  return kSections
    .map(({ name, places }) => ({
      name,
      places: places.filter(({ path, scope }) => hasPage(path) && (!scope || can(scope))),
    }))
    .filter(({ places }) => places.length > 0);
}

export function places(): Place[] {
  return sections().flatMap((section) => section.places);
}
