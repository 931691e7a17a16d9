// SPDX-License-Identifier: Apache-2.0
// One clock for all that says "3 min ago": it ticks each second while the tab is seen.
import { signal } from '@preact/signals';

export const now = signal(Date.now());

window.setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1_000);
