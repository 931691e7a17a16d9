// SPDX-License-Identifier: Apache-2.0
import { useResource, type Resource } from '../lib/resource';
import type { Stats } from '../lib/types';

export function useStats(): Resource<Stats> {
  return useResource<Stats>('/api/stats', { topic: 'stats' });
}
