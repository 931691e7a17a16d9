// SPDX-License-Identifier: Apache-2.0
import type { DecisionKind } from './series';

// One shape for each kind of decision, so that nothing depends on its colour.
const kShapes: Record<DecisionKind, { path: string; filled: boolean }> = {
  activate: { path: 'M3 2 L13 8 L3 14 Z', filled: true },
  up: { path: 'M8 2 L14 13 L2 13 Z', filled: true },
  down: { path: 'M8 14 L2 3 L14 3 Z', filled: true },
  zero: { path: 'M8 2.5 A5.5 5.5 0 1 0 8 13.5 A5.5 5.5 0 1 0 8 2.5 Z', filled: false },
  steady: { path: 'M8 5 A3 3 0 1 0 8 11 A3 3 0 1 0 8 5 Z', filled: true },
  blocked: { path: 'M2.5 2.5 H13.5 V13.5 H2.5 Z M2.5 8 H13.5', filled: false },
  paused: { path: 'M5 2.5 V13.5 M11 2.5 V13.5', filled: false },
  manual: { path: 'M8 2 L14 8 L8 14 L2 8 Z', filled: false },
  error: { path: 'M3 3 L13 13 M13 3 L3 13', filled: false },
};

export function MarkerShape({ kind }: { kind: DecisionKind }) {
  const { path, filled } = kShapes[kind] ?? kShapes.steady;
  return (
    <svg class={`marker-shape ${kind}${filled ? ' filled' : ''}`} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" focusable="false">
      <path d={path} />
    </svg>
  );
}
