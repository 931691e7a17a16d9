// SPDX-License-Identifier: Apache-2.0
// A target of the autoscaler as the list and the page of one show it.
import type { Target } from '../lib/types';
import type { DecisionRecord } from './decision';
import { autoscaling as words } from '../text/autoscaling';

export interface TargetDetail extends Omit<Target, 'decision'> {
  text?: string;
  manifest?: string;
  decision?: DecisionRecord;
}

// "namespace/name" is one word in a path.
export function targetPath({ target }: Pick<Target, 'target'>): string {
  return `/autoscaling/${encodeURIComponent(target)}`;
}

export function targetApi(target: string): string {
  return `/api/autoscaling/${encodeURIComponent(target)}`;
}

type Counts = Pick<Target, 'desired' | 'ready' | 'starting' | 'draining'>;

export function ReplicaNumbers({ target: { desired, ready, starting, draining } }: { target: Counts }) {
  return (
    <span class="replica-bar">
      <span><b>{desired}</b> <span class="of">{words.wanted}</span></span>
      <span class="of">{ready} ready{starting > 0 && `, ${starting} starting`}{draining > 0 && `, ${draining} draining`}</span>
    </span>
  );
}
