// SPDX-License-Identifier: Apache-2.0
import { visible } from '../../lib/plain';
import type { FireTime } from '../../lib/types';
import { recurring as text } from '../../text/recurring';
import { Badge, RelativeTime } from '../../ui';

// Times in the zone with their offset and in UTC; a change of the clocks is marked where it falls.
export function FireTimes({ times, zone, label }: { times: FireTime[]; zone: string; label: string }) {
  return (
    <div class="fire-scroll" tabIndex={0} role="region" aria-label={label}>
      <table class="table fire-times">
        <caption class="sr">{label}</caption>
        <thead>
          <tr>
            <th scope="col">{text.inZone(zone)}</th>
            <th scope="col">{text.utc}</th>
            <th scope="col"><span class="sr">{text.next}</span></th>
          </tr>
        </thead>
        <tbody>
          {times.map((time) => (
            <tr key={time.utc}>
              <td>
                <span class="row">
                  <span class="nowrap">{visible(time.local)}</span>
                  {time.note && <Badge icon="clock" tone="amber">{visible(time.note)}</Badge>}
                </span>
              </td>
              <td class="nowrap muted">{time.utc.replace('T', ' ').replace(/\.\d+Z$/, 'Z')}</td>
              <td class="right nowrap muted"><RelativeTime at={time.utc} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
