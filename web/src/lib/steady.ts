// SPDX-License-Identifier: Apache-2.0
// Rows that stay where they are: what arrives updates them in place, and what is new waits behind
// a bar until somebody asks for it. Nothing moves under the pointer.
import { useEffect, useRef, useState } from 'preact/hooks';

export interface Steady<Row> {
  rows: Row[];
  newer: number; // rows that are not shown yet
  gone: Set<string>; // rows that the list does not have any more
  show: () => void; // takes what has arrived
  renew: () => void; // takes what arrives next: after one's own change
}

export function useSteady<Row>(key: string, latest: Row[] | undefined, id: (row: Row) => string): Steady<Row> {
  const [shown, setShown] = useState<{ key: string; rows: Row[] }>({ key, rows: [] });
  const fresh = shown.key !== key || shown.rows.length === 0;
  const renewing = useRef(false);
  useEffect(() => {
    if (!latest || !(fresh || renewing.current)) return;
    renewing.current = false;
    setShown({ key, rows: latest });
  }, [key, latest, fresh]);
  const rows = fresh ? (latest ?? []) : shown.rows;
  const byId = new Map((latest ?? rows).map((row) => [id(row), row]));
  const known = new Set(rows.map(id));
  return {
    rows: rows.map((row) => byId.get(id(row)) ?? row),
    newer: [...byId.keys()].filter((one) => !known.has(one)).length,
    gone: new Set(rows.map(id).filter((one) => !byId.has(one))),
    show: () => setShown({ key, rows: latest ?? [] }),
    renew: () => {
      renewing.current = true;
    },
  };
}
