// SPDX-License-Identifier: Apache-2.0
import { plural } from '../lib/format';

export const log = {
  search: 'Search the lines',
  level: 'Least level',
  all: 'All',
  follow: 'Follow',
  download: 'Download the log',
  none: 'No lines yet',
  noMatch: 'No line matches',
  dropped: (n: number) => `… ${plural(n, 'older line')} dropped`,
};
