// SPDX-License-Identifier: Apache-2.0
// A real table with caption and headers. The cursor (j, k), selection (x, Shift+x) and opening
// (Enter) are the same in every list; the pointer does the same with less.
import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useShortcuts } from '../lib/keys';
import { navigate } from '../lib/router';
import { text } from '../text/common';
import { Button } from './basics';
import { Icon } from './icons';

export interface Column<Row> {
  id: string;
  name: string;
  // Numbers stand at the end of the cell.
  align?: 'num' | 'fit';
  hideName?: boolean; // the header is there for screen readers only
  sort?: boolean;
  cell: (row: Row) => ComponentChildren;
}

export interface Sort {
  by: string;
  descending: boolean;
}

export interface Selection {
  ids: Set<string>;
  change: (ids: Set<string>) => void;
}

export interface TableProps<Row> {
  caption: string;
  columns: Column<Row>[];
  rows: Row[];
  id: (row: Row) => string;
  to?: (row: Row) => string | undefined; // where Enter and a click lead
  selection?: Selection | undefined;
  sort?: Sort | undefined;
  onSort?: (sort: Sort) => void;
  keys?: Record<string, (row: Row) => void>; // more shortcuts on the row under the cursor
  empty?: ComponentChildren;
  newer?: { count: number; show: () => void } | undefined;
}

function toggled(ids: Set<string>, id: string): Set<string> {
  const result = new Set(ids);
  if (!result.delete(id)) result.add(id);
  return result;
}

function cellClass<Row>(column: Column<Row>, lead: boolean): string {
  return [column.align ?? '', lead ? 'lead' : '', column.hideName ? 'menu-cell' : ''].join(' ').trim();
}

export function Table<Row>(props: TableProps<Row>) {
  const { rows, id, to, selection, columns } = props;
  const [cursor, setCursor] = useState(-1);
  const anchor = useRef(-1);
  const body = useRef<HTMLTableSectionElement>(null);

  const move = (by: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, cursor + by));
    setCursor(next);
    const row = body.current?.rows[next];
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: 'nearest' });
  };
  const select = (index: number, range: boolean) => {
    const row = rows[index];
    if (!selection || !row) return;
    if (range && anchor.current >= 0) {
      const [from, until] = [Math.min(anchor.current, index), Math.max(anchor.current, index)];
      selection.change(new Set([...selection.ids, ...rows.slice(from, until + 1).map(id)]));
    } else {
      selection.change(toggled(selection.ids, id(row)));
      anchor.current = index;
    }
  };
  const open = (index: number) => {
    const row = rows[index];
    const target = row && to?.(row);
    if (target) navigate(target);
  };
  const own = Object.fromEntries(
    Object.entries(props.keys ?? {}).map(([key, act]) => [
      key,
      () => {
        const row = rows[cursor];
        if (row) act(row);
      },
    ]),
  );
  useShortcuts({
    j: () => move(1),
    k: () => move(-1),
    x: () => select(cursor, false),
    X: () => select(cursor, true),
    Enter: (event) => {
      const on = event.target;
      if (on instanceof Element && on.closest('a, button, input, summary')) return false;
      open(cursor);
      return cursor >= 0;
    },
    ...own,
  });
  useEffect(() => {
    if (cursor >= rows.length) setCursor(rows.length - 1);
  }, [rows.length, cursor]);

  const lead = columns.find((column) => !column.align) ?? columns[0];
  return (
    <div class="table-wrap">
      {props.newer && props.newer.count > 0 && (
        <div class="newer">
          <Button small icon="up" onClick={props.newer.show}>{text.list.newer(props.newer.count)}</Button>
        </div>
      )}
      <table class={`table cards${to ? ' clickable' : ''}`}>
        <caption class="sr">{props.caption}</caption>
        <Head {...props} />
        <tbody ref={body as RefObject<HTMLTableSectionElement>}>
          {rows.map((row, index) => (
            <tr
              key={id(row)}
              tabIndex={-1}
              class={index === cursor ? 'cursor' : ''}
              aria-selected={selection ? selection.ids.has(id(row)) : undefined}
              onFocus={() => setCursor(index)}
              onClick={(event) => {
                const on = event.target as Element;
                if (on.closest('a, button, input, label, summary, .menu') || window.getSelection()?.toString()) return;
                open(index);
              }}
            >
              {selection && (
                <td class="fit select-cell">
                  <input
                    type="checkbox"
                    class="checkbox"
                    checked={selection.ids.has(id(row))}
                    aria-label={`${text.list.selectRow} ${id(row)}`}
                    onClick={(event) => select(index, event.shiftKey)}
                  />
                </td>
              )}
              {columns.map((column) => (
                <td key={column.id} class={cellClass(column, column === lead)} data-label={column.hideName ? '' : column.name}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && props.empty}
    </div>
  );
}

function Head<Row>({ columns, rows, id, selection, sort, onSort }: TableProps<Row>) {
  const all = rows.length > 0 && selection !== undefined && rows.every((row) => selection.ids.has(id(row)));
  const some = selection !== undefined && rows.some((row) => selection.ids.has(id(row)));
  return (
    <thead>
      <tr>
        {selection && (
          <th class="fit" scope="col">
            <input
              type="checkbox"
              class="checkbox"
              checked={all}
              ref={(box) => {
                if (box) box.indeterminate = some && !all;
              }}
              aria-label={text.list.selectPage}
              onClick={() => selection.change(all ? new Set() : new Set(rows.map(id)))}
            />
          </th>
        )}
        {columns.map((column) => {
          const sorted = sort?.by === column.id ? sort : undefined;
          const direction = sorted ? (sorted.descending ? 'descending' : 'ascending') : undefined;
          return (
            <th key={column.id} scope="col" class={column.align ?? ''} aria-sort={direction}>
              {column.sort && onSort ? (
                <button
                  type="button"
                  class="sort"
                  title={text.list.sortBy(column.name)}
                  onClick={() => onSort({ by: column.id, descending: sorted ? !sorted.descending : false })}
                >
                  {column.name}
                  {sorted && <Icon name={sorted.descending ? 'down' : 'up'} />}
                </button>
              ) : (
                <span class={column.hideName ? 'sr' : ''}>{column.name}</span>
              )}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

export interface PagerProps {
  children?: ComponentChildren; // what stands at the start: how many, as of when
  first?: (() => void) | undefined;
  previous?: (() => void) | undefined;
  next?: (() => void) | undefined;
  last?: (() => void) | undefined;
  size?: number;
  sizes?: number[];
  onSize?: (size: number) => void;
}

// A button without a way is disabled, so that nothing moves; who never names an end has no buttons
// for the ends.
export function Pager(props: PagerProps) {
  const ends = 'first' in props || 'last' in props;
  const step = (name: string, go: (() => void) | undefined) => (
    <Button small disabled={!go} onClick={() => go?.()}>{name}</Button>
  );
  return (
    <nav class="pager" aria-label="Pages">
      <span>{props.children}</span>
      <div class="row">
        {props.onSize && (
          <label class="check">
            <span class="muted">{text.list.pageSize}</span>
            <select
              class="select"
              value={props.size}
              onChange={(event) => props.onSize?.(Number(event.currentTarget.value))}
            >
              {(props.sizes ?? [20, 50, 100, 200]).map((size) => (
                <option key={size} value={size}>{size}</option>
              ))}
            </select>
          </label>
        )}
        <div class="group">
          {ends && step(text.list.first, props.first)}
          {step(text.list.previous, props.previous)}
          {step(text.list.next, props.next)}
          {ends && step(text.list.last, props.last)}
        </div>
      </div>
    </nav>
  );
}
