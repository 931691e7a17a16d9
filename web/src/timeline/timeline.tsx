// SPDX-License-Identifier: Apache-2.0
// One time axis for everything: what came, what waited, what ran, how long it took, how many
// replicas were wanted and how many there were, and why. All rows share the axis, the cursor and
// the zoom. The canvases are pictures; whatever can be read or pressed is in the page beside them.
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { visible } from '../lib/plain';
import { prefs } from '../lib/prefs';
import type { MarkerGroup, Series } from './series';
import { groupMarkers, inGap, latestOf, markerBefore, valueAt } from './series';
import type { Range, RangeQuery } from './range';
import { panned, timeTicks, windowQuery, zoomed } from './range';
import type { Plot } from './draw';
import { drawAxis, drawRibbon, drawRow, palette, prepare, scaleOf } from './draw';
import { summary, wordsAt } from './describe';
import { ago, clock } from '../lib/format';
import { axisLabel, dateAndClock, here, offsetMs, unitText, zoneOffset } from './format';
import type { Curve, Row } from './tracks';
import { kKindWords, kRibbon, kRows } from './tracks';
import { MarkerShape } from './marker_shape';

const kMarkerWidth = 34;
const kTickWidth = 90;

export interface TimelineProps {
  label: string;
  series: Series;
  range: Range;
  rows?: Row[];
  bare?: boolean; // of something that is not scaled: without decisions and replicas
  decision: string | null; // the one that is explained
  at: number | null; // the instant that is asked about
  onDecision: (id: string) => void;
  onAt: (t: number) => void;
  onRange: (query: RangeQuery) => void;
  onTable: () => void;
}

export function Timeline(props: TimelineProps) {
  const { series, range, rows = kRows } = props;
  const box = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState({ left: 0, width: 0 });
  const [cursor, setCursor] = useState<number | null>(null);
  const [spoken, setSpoken] = useState('');
  const theme = useTheme();

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => setPlace(plotPlace(element));
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);

  const ticks = useMemo(
    () => timeTicks(range.from, range.to, Math.max(2, place.width / kTickWidth), offsetMs),
    [range.from, range.to, place.width],
  );

  useEffect(() => {
    if (box.current && place.width > 0) draw(box.current, rows, series, range, ticks);
  }, [series, range.from, range.to, range.now, place.width, theme, ticks, rows]);

  const groups = useMemo(() => {
    const inside = { ...series, markers: series.markers.filter(({ t }) => range.from <= t && t <= range.to) };
    return groupMarkers(inside, place.width > 0 ? ((range.to - range.from) * kMarkerWidth) / place.width : 0);
  }, [series, range.from, range.to, place.width]);

  const xShare = (t: number) => (t - range.from) / (range.to - range.from);
  const shown = cursor ?? props.at;

  const move = (t: number) => {
    const inside = Math.min(range.to, Math.max(range.from, t));
    setCursor(inside);
    setSpoken(wordsAt(series, inside));
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (handleKey(event, { ...props, cursor, groups, move, clear: () => setCursor(null) })) {
      event.preventDefault();
      event.stopPropagation();
    }
  };

  return (
    <div class="timeline-frame">
      <p class="timeline-summary small subtle" id="timeline-summary">{summary(series)}</p>
      <div
        class="timeline" ref={box} tabIndex={0} role="application" aria-roledescription="timeline" aria-label={props.label}
        aria-describedby="timeline-summary timeline-keys" onKeyDown={onKeyDown}
      >
        {rows.map((row) => (
          <TrackRow key={row.name} row={row} series={series} at={cursor} />
        ))}
        {!props.bare && (
          <>
            <div class="timeline-row markers">
              <div class="timeline-legend"><h3>Decisions</h3><p class="timeline-hint">a mark each, with the new number</p></div>
              <div class="timeline-scale" />
              <div class="timeline-plot markers-plot">
                {groups.map((group) => (
                  <MarkerButton key={group.members[0]?.id} group={group} share={xShare(group.t)} chosen={props.decision} now={range.now} onDecision={props.onDecision} />
                ))}
              </div>
            </div>
            <div class="timeline-row ribbon">
              <div class="timeline-legend">
                <h3>Replica time</h3>
                <ul>{kRibbon.map((curve) => <LegendItem key={curve.track} curve={curve} value="" />)}</ul>
              </div>
              <div class="timeline-scale" />
              <canvas class="timeline-plot" data-row="ribbon" aria-hidden="true" />
            </div>
          </>
        )}
        <div class="timeline-row axis">
          <div class="timeline-legend"><span class="timeline-hint">{zoneOffset(range.to)}</span></div>
          <div class="timeline-scale" />
          <canvas class="timeline-plot" data-row="axis" aria-hidden="true" />
        </div>
        <Overlay place={place} range={range} series={series} cursor={cursor} shown={shown} at={props.at} onMove={setCursor} onAt={props.onAt} onRange={props.onRange} />
      </div>
      <p class="sr" id="timeline-keys">
        Left and right move the cursor, square brackets go to the previous and next decision, plus and minus zoom, Enter or e explains, t shows a table.
      </p>
      <p class="sr" aria-live="polite">{spoken}</p>
    </div>
  );
}

// --- rows -------------------------------------------------------------------------------------

function TrackRow({ row, series, at }: { row: Row; series: Series; at: number | null }) {
  const { max, beyond } = scaleOf(row, series);
  const curves = [...row.curves, ...row.stacked];
  const recorded = curves.filter(({ track }) => series.columns[track]);
  return (
    <div class="timeline-row">
      <div class="timeline-legend">
        <h3 title={row.hint}>{row.label}</h3>
        <ul>
          {curves.map((curve) => (
            <LegendItem key={curve.track} curve={curve} value={valueText(series, row, curve, at)} />
          ))}
        </ul>
        {recorded.length === 0 && <p class="timeline-hint">not recorded</p>}
        {beyond.map((text) => <p class="timeline-hint" key={text}>{text}</p>)}
      </div>
      <div class="timeline-scale" aria-hidden="true">
        <span>{recorded.length > 0 && unitText(row.unit, max)}</span>
        <span>{recorded.length > 0 && (max >= 2 || row.unit !== 'count') ? unitText(row.unit, max / 2) : ''}</span>
        <span>{recorded.length > 0 && '0'}</span>
      </div>
      <canvas class="timeline-plot" data-row={row.name} style={{ height: `${row.height}px` }} aria-hidden="true" />
    </div>
  );
}

function valueText(series: Series, row: Row, { track }: Curve, at: number | null): string {
  const value = at === null ? latestOf(series, track) : valueAt(series, track, at);
  return unitText(row.unit, value);
}

function LegendItem({ curve, value }: { curve: Curve; value: string }): ComponentChildren {
  return (
    <li class="legend-item">
      <svg class={`swatch ${curve.shape} ${curve.colour}`} viewBox="0 0 18 10" width="18" height="10" aria-hidden="true" focusable="false">
        {curve.shape === 'area' ? <rect x="0" y="1" width="18" height="8" rx="1.5" /> : <path d={curve.shape === 'step' ? 'M0 8 H8 V2 H18' : 'M0 5 H18'} />}
      </svg>
      <span class="legend-name">{curve.label}</span>
      <b class="legend-value">{value}</b>
    </li>
  );
}

// --- markers ----------------------------------------------------------------------------------

interface MarkerButtonProps {
  group: MarkerGroup;
  share: number;
  chosen: string | null;
  now: number;
  onDecision: (id: string) => void;
}

function MarkerButton({ group, share, chosen, now, onDecision }: MarkerButtonProps) {
  const last = group.members[group.members.length - 1]!;
  const selected = group.members.some(({ id }) => id === chosen);
  const words = `${kKindWords[last.kind]}: ${last.from} → ${last.to}`;
  const why = visible(here(last.summary, last.at));
  const more = group.count > 1 ? `, with ${group.count - 1} more around it` : '';
  return (
    <button
      type="button" class={`marker ${group.kind}${share < 0.25 ? ' west' : share > 0.75 ? ' east' : ''}`} aria-pressed={selected} tabIndex={selected ? 0 : -1} style={{ left: `${share * 100}%` }}
      onClick={() => onDecision(last.id)}
    >
      <MarkerShape kind={group.kind} />
      <span class="marker-number">{group.to}</span>
      {group.count > 1 && <span class="marker-count" aria-hidden="true">×{group.count}</span>}
      <span class="sr">{`, ${words}, ${dateAndClock(group.t)}${more}. ${why}`}</span>
      <span class="marker-card" aria-hidden="true">
        <b>{words}</b>
        <span class="muted">{dateAndClock(Date.parse(last.at))} · {ago(Date.parse(last.at), now)}{more}</span>
        <span>{why}</span>
      </span>
    </button>
  );
}

// --- cursor and brush -------------------------------------------------------------------------

interface OverlayProps {
  place: { left: number; width: number };
  range: Range;
  series: Series;
  cursor: number | null;
  shown: number | null;
  at: number | null;
  onMove: (t: number | null) => void;
  onAt: (t: number) => void;
  onRange: (query: RangeQuery) => void;
}

const kBrushFrom = 8; // px; a shorter drag is a click

function Overlay({ place, range, series, cursor, shown, at, onMove, onAt, onRange }: OverlayProps) {
  const [brush, setBrush] = useState<{ start: number; end: number } | null>(null);
  const at_ = (event: PointerEvent): number => {
    const { left, width } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.min(width, Math.max(0, event.clientX - left));
  };
  const timeOf = (x: number) => range.from + (x / place.width) * (range.to - range.from);
  const share = (t: number) => ((t - range.from) / (range.to - range.from)) * place.width;

  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    setBrush({ start: at_(event), end: at_(event) });
  };
  const moved = (event: PointerEvent) => {
    onMove(timeOf(at_(event)));
    if (brush && event.pointerType === 'mouse') setBrush({ ...brush, end: at_(event) });
  };
  const up = (event: PointerEvent) => {
    if (!brush) return;
    setBrush(null);
    const end = at_(event);
    const [a, b] = [Math.min(brush.start, end), Math.max(brush.start, end)];
    if (event.pointerType === 'mouse' && b - a > kBrushFrom) onRange(windowQuery(timeOf(a), timeOf(b)));
    else onAt(timeOf(end));
  };

  const gap = shown === null ? undefined : inGap(series, shown);
  return (
    <div
      class="timeline-overlay" style={{ left: `${place.left}px`, width: `${place.width}px` }} onPointerDown={down} onPointerMove={moved}
      onPointerUp={up} onPointerCancel={() => setBrush(null)} onPointerLeave={() => onMove(null)}
    >
      {at !== null && at >= range.from && at <= range.to && <i class="timeline-asked" style={{ transform: `translateX(${share(at)}px)` }} />}
      {shown !== null && shown >= range.from && shown <= range.to && (
        <>
          <i class="timeline-cursor" style={{ transform: `translateX(${share(shown)}px)` }} />
          <span class={`timeline-time ${share(shown) > place.width - 170 ? 'flip' : ''}`} style={{ left: `${share(shown)}px` }}>
            {clock(shown)}{gap ? ` · ${gap.reason}` : ''}{cursor !== null && shown > range.now ? ' · not yet' : ''}
          </span>
        </>
      )}
      {brush && Math.abs(brush.end - brush.start) > kBrushFrom && (
        <i class="timeline-brush" style={{ left: `${Math.min(brush.start, brush.end)}px`, width: `${Math.abs(brush.end - brush.start)}px` }} />
      )}
    </div>
  );
}

// --- keyboard ---------------------------------------------------------------------------------

interface Keys extends TimelineProps {
  cursor: number | null;
  groups: MarkerGroup[];
  move: (t: number) => void;
  clear: () => void;
}

function handleKey(event: KeyboardEvent, keys: Keys): boolean {
  const { range, series } = keys;
  const here = keys.cursor ?? keys.at ?? Math.min(range.now, range.to);
  const step = Math.max(series.stepMs, (range.to - range.from) / 240) * (event.shiftKey ? 10 : 1);
  switch (event.key) {
    case 'ArrowLeft': keys.move(here - step); return true;
    case 'ArrowRight': keys.move(here + step); return true;
    case 'Home': keys.move(range.from); return true;
    case 'End': keys.move(Math.min(range.now, range.to)); return true;
    case 'PageUp': keys.onRange(panned(range, -0.5)); return true;
    case 'PageDown': keys.onRange(panned(range, 0.5)); return true;
    case '+': case '=': keys.onRange(zoomed(range, 0.5, here)); return true;
    case '-': case '_': keys.onRange(zoomed(range, 2, here)); return true;
    case '[': return stepMarker(keys, -1);
    case ']': return stepMarker(keys, 1);
    case 'Enter': case 'e': explain(keys, here); return true;
    case 't': keys.onTable(); return true;
    case 'Escape': if (keys.cursor === null) return false; keys.clear(); return true;
    default: return false;
  }
}

function stepMarker({ series, decision, cursor, range, move, onDecision }: Keys, by: 1 | -1): boolean {
  const { markers } = series;
  const chosen = markers.findIndex(({ value }) => value.id === decision);
  const from = cursor ?? range.now;
  const next = chosen >= 0 ? chosen + by : by > 0 ? markers.findIndex(({ t }) => t > from) : findLast(markers, from);
  const marker = markers[next];
  if (!marker) return true;
  move(marker.t);
  onDecision(marker.value.id);
  return true;
}

function findLast(markers: { t: number }[], before: number): number {
  for (let i = markers.length - 1; i >= 0; i--) if (markers[i]!.t < before) return i;
  return -1;
}

// A mark under the cursor explains itself; anywhere else the question is why nothing happened.
function explain({ groups, series, range, onDecision, onAt }: Keys, here: number): void {
  const near = Math.max(series.stepMs, (range.to - range.from) / 120);
  const hit = groups.find(({ t }) => Math.abs(t - here) <= near) && markerBefore(series, here + near);
  if (hit) onDecision(hit.value.id);
  else onAt(here);
}

// --- drawing ----------------------------------------------------------------------------------

function plotPlace(box: HTMLElement): { left: number; width: number } {
  const plot = box.querySelector<HTMLElement>('canvas.timeline-plot');
  if (!plot) return { left: 0, width: 0 };
  return { left: plot.offsetLeft, width: plot.clientWidth };
}

function draw(box: HTMLElement, rows: Row[], series: Series, range: Range, ticks: { at: number[]; every: number }): void {
  const colour = palette(box);
  for (const canvas of box.querySelectorAll<HTMLCanvasElement>('canvas[data-row]')) {
    const context = prepare(canvas);
    if (!context) continue;
    const plot: Plot = { context, width: canvas.clientWidth, height: canvas.clientHeight, from: range.from, to: range.to, now: range.now, colour };
    const name = canvas.dataset['row'];
    const row = rows.find((one) => one.name === name);
    if (row) drawRow(plot, row, series, ticks.at);
    else if (name === 'ribbon') drawRibbon(plot, series);
    else drawAxis(plot, ticks.at, (t) => axisLabel(t, ticks.every));
  }
}

// Canvases do not follow style sheets by themselves.
function useTheme(): string {
  const [system, setSystem] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches);
  useEffect(() => {
    const media = matchMedia('(prefers-color-scheme: dark)');
    const changed = () => setSystem(media.matches);
    media.addEventListener('change', changed);
    return () => media.removeEventListener('change', changed);
  }, []);
  return `${prefs.value.theme}-${prefs.value.zone}-${system}`;
}
