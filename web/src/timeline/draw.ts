// SPDX-License-Identifier: Apache-2.0
// Draws one row of the timeline on its canvas. Everything that depends on data is drawn; everything
// that can be read, clicked or focused is in the page.
import type { Column, Gap, Series } from './series';
import { columnOf, indexAt, kMeasured, knownUntil } from './series';
import { niceMax } from './range';
import type { Curve, Row } from './tracks';
import { kRibbon } from './tracks';

export interface Plot {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  from: number;
  to: number;
  now: number;
  colour: (name: string) => string;
}

const kTop = 6; // so that a line at the maximum is not cut in half
const kFont = '11px ui-sans-serif, system-ui, sans-serif';

// A canvas in device pixels whose context counts CSS pixels.
export function prepare(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const context = canvas.getContext('2d');
  if (!context) return null;
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

export function palette(element: Element): (name: string) => string {
  const style = getComputedStyle(element);
  const known = new Map<string, string>();
  return (name) => {
    const found = known.get(name) ?? style.getPropertyValue(`--${name}`).trim();
    known.set(name, found);
    return found;
  };
}

export function xOf(plot: Plot, t: number): number {
  return ((t - plot.from) / (plot.to - plot.from)) * plot.width;
}

function yOf(plot: Plot, value: number, max: number): number {
  return plot.height - (value / max) * (plot.height - kTop);
}

function highest(row: Row, series: Series): number {
  let top = 0;
  for (const { track } of row.curves) for (const v of columnOf(series, track).max) if (v > top) top = v;
  for (const v of stackOf(row.stacked, series).top) if (v > top) top = v;
  for (const { limit } of row.levels) top = Math.max(top, series.limits[limit] ?? 0);
  return top;
}

// A limit far above everything else would flatten what happened: it is named at the edge instead.
export function scaleOf(row: Row, series: Series): { max: number; beyond: string[] } {
  const seen = highest({ ...row, levels: [] }, series);
  const all = highest(row, series);
  if (seen > 0 && all > seen * 8) {
    const beyond = row.levels.filter(({ limit }) => (series.limits[limit] ?? 0) > seen * 8).map(({ label, limit }) => `${label} ${series.limits[limit]}`);
    return { max: niceMax(seen), beyond };
  }
  return { max: niceMax(all), beyond: [] };
}

// --- parts ------------------------------------------------------------------------------------

function grid(plot: Plot): void {
  const { context, width, height } = plot;
  context.strokeStyle = plot.colour('chart-grid');
  context.lineWidth = 1;
  for (const share of [0, 0.5, 1]) {
    const y = Math.round(height - share * (height - kTop)) - (share === 0 ? 0.5 : -0.5);
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
  }
}

function verticals(plot: Plot, ticks: readonly number[]): void {
  const { context, height } = plot;
  context.strokeStyle = plot.colour('chart-grid');
  context.lineWidth = 1;
  for (const t of ticks) {
    const x = Math.round(xOf(plot, t)) + 0.5;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.stroke();
  }
}

// What lies ahead has another ground than what has been.
function future(plot: Plot): void {
  const { context, width, height, now, to } = plot;
  if (now >= to) return;
  const x = xOf(plot, now);
  context.fillStyle = plot.colour('chart-future');
  context.fillRect(x, 0, width - x, height);
  context.strokeStyle = plot.colour('chart-now');
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(Math.round(x) + 0.5, 0);
  context.lineTo(Math.round(x) + 0.5, height);
  context.stroke();
  context.setLineDash([]);
}

export function hatch(plot: Plot, gaps: readonly Gap[]): void {
  const { context, height, width } = plot;
  for (const gap of gaps) {
    const left = Math.max(0, xOf(plot, gap.from));
    const right = Math.min(width, xOf(plot, gap.to));
    if (right <= left) continue;
    context.save();
    context.beginPath();
    context.rect(left, 0, Math.max(2, right - left), height);
    context.clip();
    context.fillStyle = plot.colour('chart-gap');
    context.fillRect(left, 0, right - left, height);
    context.strokeStyle = plot.colour('chart-hatch');
    context.lineWidth = 1;
    for (let x = left - height; x < right; x += 7) {
      context.beginPath();
      context.moveTo(x, height);
      context.lineTo(x + height, 0);
      context.stroke();
    }
    context.restore();
  }
}

// Pieces of a column in which every value is known.
function pieces(column: Column, what: Curve): [number, number][] {
  if (kMeasured.has(what.track)) return column.t.map((_, i) => [i, i + 1] as [number, number]).filter(([i]) => !Number.isNaN(column.last[i]));
  const out: [number, number][] = [];
  let start = -1;
  for (let i = 0; i <= column.t.length; i++) {
    const known = i < column.t.length && !Number.isNaN(column.last[i]);
    if (start >= 0 && !known) out.push([start, i]);
    if (!known) start = -1;
    else if (start < 0) start = i;
  }
  return out;
}

function dash(shape: Curve['shape']): number[] {
  if (shape === 'dashed') return [5, 3];
  if (shape === 'dotted') return [1.5, 3.5];
  return [];
}

// Goes along the numbers of a piece: steps, since a number holds until the next one, or slopes.
function walk(plot: Plot, what: Curve, column: Column, [a, b]: [number, number], numbers: readonly number[], max: number, to: (x: number, y: number) => void, series: Series): void {
  for (let i = a; i < b; i++) {
    const x = xOf(plot, column.t[i]!);
    if (!what.slopes && i > a) to(x, yOf(plot, numbers[i - 1]!, max));
    to(x, yOf(plot, numbers[i]!, max));
  }
  to(xOf(plot, endOf(plot, what, column, b, series)), yOf(plot, numbers[b - 1]!, max));
}

// A number holds until the next one, and the last one until now.
function endOf(plot: Plot, what: Curve, column: Column, b: number, series: Series): number {
  if (kMeasured.has(what.track)) return Math.min(column.t[b - 1]! + series.stepMs, column.t[b] ?? Infinity);
  return column.t[b] ?? Math.max(column.t[b - 1]!, knownUntil(series, plot.now));
}

function curve(plot: Plot, what: Curve, series: Series, max: number): void {
  const { context } = plot;
  const column = columnOf(series, what.track);
  const colour = plot.colour(what.colour);
  for (const piece of pieces(column, what)) {
    envelope(plot, column, piece, max, colour, series);
    if (what.shape === 'area') fillBelow(plot, what, column, piece, max, colour, series);
    context.beginPath();
    walk(plot, what, column, piece, column.last, max, (x, y) => context.lineTo(x, y), series);
    context.strokeStyle = colour;
    context.lineWidth = what.track === 'desired' ? 2 : 1.6;
    context.lineJoin = 'round';
    context.lineCap = what.shape === 'dotted' ? 'round' : 'butt';
    context.setLineDash(dash(what.shape));
    context.stroke();
    context.setLineDash([]);
  }
}

// Between the least and the most of what a point stands for, which is one step.
function envelope(plot: Plot, column: Column, [a, b]: [number, number], max: number, colour: string, series: Series): void {
  const { context } = plot;
  context.globalAlpha = 0.22;
  context.fillStyle = colour;
  for (let i = a; i < b; i++) {
    if (column.min[i] === column.max[i]) continue;
    const x = xOf(plot, column.t[i]!);
    const top = yOf(plot, column.max[i]!, max);
    const end = Math.min(column.t[i]! + series.stepMs, column.t[i + 1] ?? Infinity);
    context.fillRect(x, top, Math.max(1, xOf(plot, end) - x), yOf(plot, column.min[i]!, max) - top);
  }
  context.globalAlpha = 1;
}

function fillBelow(plot: Plot, what: Curve, column: Column, piece: [number, number], max: number, colour: string, series: Series): void {
  const { context, height } = plot;
  context.beginPath();
  context.moveTo(xOf(plot, column.t[piece[0]]!), height);
  walk(plot, what, column, piece, column.last, max, (x, y) => context.lineTo(x, y), series);
  context.lineTo(xOf(plot, endOf(plot, what, column, piece[1], series)), height);
  context.closePath();
  context.globalAlpha = 0.16;
  context.fillStyle = colour;
  context.fill();
  context.globalAlpha = 1;
}

function level(plot: Plot, name: string, label: string, value: number, max: number): void {
  const { context, width } = plot;
  if (value > max) return;
  const y = Math.round(yOf(plot, value, max)) + (value === 0 ? -0.5 : 0.5);
  context.strokeStyle = plot.colour(name);
  context.lineWidth = 1;
  context.setLineDash([8, 4]);
  context.beginPath();
  context.moveTo(0, y);
  context.lineTo(width, y);
  context.stroke();
  context.setLineDash([]);
  context.font = kFont;
  context.textAlign = 'right';
  context.textBaseline = y < 20 ? 'top' : 'bottom';
  halo(plot, label, width - 4, y + (y < 20 ? 3 : -2), plot.colour(name));
}

// Text that stays readable on whatever lies below.
function halo(plot: Plot, text: string, x: number, y: number, colour: string): void {
  const { context } = plot;
  context.lineWidth = 3;
  context.lineJoin = 'round';
  context.strokeStyle = plot.colour('chart-ground');
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

// --- stacks -----------------------------------------------------------------------------------

interface Stack {
  t: number[];
  values: number[][]; // one for each curve; NaN: unknown
  top: number[];
}

export function stackOf(curves: readonly Curve[], series: Series): Stack {
  const columns = curves.map(({ track }) => (track === 'idle' ? idle(series) : columnOf(series, track)));
  const t = [...new Set(columns.flatMap((column) => column.t))].sort((a, b) => a - b);
  const values = columns.map((column) => t.map((at) => held(column, at)));
  const top = t.map((_, i) => values.reduce((sum, one) => sum + (one[i] || 0), 0));
  return { t, values, top };
}

function held(column: Column, at: number): number {
  return column.last[indexAt(column.t, at)] ?? Number.NaN;
}

// Replicas that are ready and have no work. When those with work are unknown, so are these.
function idle(series: Series): Column {
  const ready = columnOf(series, 'ready');
  const busy = columnOf(series, 'busy');
  const t = [...new Set([...ready.t, ...busy.t])].sort((a, b) => a - b);
  const last = t.map((at) => Math.max(0, held(ready, at) - held(busy, at)));
  return { t, last, min: last, max: last };
}

function eachBox(plot: Plot, stack: Stack, series: Series, draw: (i: number, x: number, width: number) => void): void {
  for (const [i, at] of stack.t.entries()) {
    const end = stack.t[i + 1] ?? Math.max(at, knownUntil(series, plot.now));
    // Whole pixels: translucent edges would show as seams.
    const x = Math.round(xOf(plot, at));
    if (end > at && x < plot.width) draw(i, x, Math.max(1, Math.round(xOf(plot, end)) - x));
  }
}

function stacked(plot: Plot, curves: readonly Curve[], series: Series, max: number): void {
  const { context, height } = plot;
  const stack = stackOf(curves, series);
  eachBox(plot, stack, series, (i, x, width) => {
    let below = 0;
    for (const [which, values] of stack.values.entries()) {
      const value = values[i]!;
      if (!(value > 0)) continue;
      context.fillStyle = plot.colour(curves[which]!.colour);
      const y = yOf(plot, below + value, max);
      context.fillRect(x, y, width, yOf(plot, below, max) - y);
      below += value;
    }
  });
  context.fillStyle = plot.colour('chart-grid');
  context.fillRect(0, height - 1, plot.width, 1);
}

// --- rows -------------------------------------------------------------------------------------

export function drawRow(plot: Plot, row: Row, series: Series, ticks: readonly number[]): void {
  const { max } = scaleOf(row, series);
  future(plot);
  hatch(plot, series.gaps); // below: what is known all the same is drawn over it
  grid(plot);
  verticals(plot, ticks);
  stacked(plot, row.stacked, series, max);
  changes(plot, series);
  for (const what of row.curves) curve(plot, what, series, max);
  for (const { limit, label } of row.levels) {
    const value = series.limits[limit];
    if (value !== undefined) level(plot, limit === 'waitTargetMs' ? 'chart-target' : 'chart-limit', label, value, max);
  }
}

// A hair line through all rows where the number of replicas changed.
function changes(plot: Plot, series: Series): void {
  const { context, height, width } = plot;
  context.strokeStyle = plot.colour('chart-change');
  context.lineWidth = 1;
  for (const { t, value } of series.markers) {
    if (value.from === value.to) continue;
    const x = Math.round(xOf(plot, t)) + 0.5;
    if (x < 0 || x > width) continue;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.stroke();
  }
}

export function drawRibbon(plot: Plot, series: Series): void {
  const { context, height, width } = plot;
  context.fillStyle = plot.colour('chart-future');
  context.fillRect(0, height - 2, width, 2);
  hatch(plot, series.gaps);
  const stack = stackOf(kRibbon, series);
  eachBox(plot, stack, series, (i, x, boxWidth) => {
    let below = height;
    for (const [which, values] of stack.values.entries()) {
      const share = ((values[i] || 0) / (stack.top[i] || 1)) * height;
      if (share <= 0) continue;
      context.fillStyle = plot.colour(kRibbon[which]!.colour);
      context.fillRect(x, below - share, boxWidth, share);
      below -= share;
    }
  });
}

export function drawAxis(plot: Plot, ticks: readonly number[], label: (t: number) => string): void {
  const { context, width } = plot;
  context.font = kFont;
  context.fillStyle = plot.colour('chart-ink');
  context.strokeStyle = plot.colour('chart-axis');
  context.textBaseline = 'top';
  for (const t of ticks) {
    const x = xOf(plot, t);
    context.beginPath();
    context.moveTo(Math.round(x) + 0.5, 0);
    context.lineTo(Math.round(x) + 0.5, 5);
    context.stroke();
    const text = label(t);
    const half = context.measureText(text).width / 2;
    context.textAlign = x < half ? 'left' : x > width - half ? 'right' : 'center';
    context.fillText(text, Math.min(width, Math.max(0, x)), 8);
  }
}
