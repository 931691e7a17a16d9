// SPDX-License-Identifier: Apache-2.0
// Two stacked series over time, as bars; the same as a table for those who do not see it.
import { clock } from '../lib/format';

export interface Bar {
  at: number;
  good: number | null; // null: not known, which is not zero
  bad: number | null;
}

interface BarGraphProps {
  bars: Bar[];
  label: string;
  names: [good: string, bad: string];
  unit: string;
}

const kWidth = 1000;
const kHeight = 180;

function nice(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= most) ?? 10) * power;
}

export function BarGraph({ bars, label, names, unit }: BarGraphProps) {
  const top = nice(Math.max(0, ...bars.map((bar) => (bar.good ?? 0) + (bar.bad ?? 0))));
  const step = kWidth / Math.max(1, bars.length);
  const y = (value: number) => (value / top) * kHeight;
  const [first, last] = [bars[0], bars[bars.length - 1]];
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return (
    <figure class="bar-graph">
      <div class="bar-legend small">
        <span><i class="dot ok" /> {names[0]}</span>
        <span><i class="dot bad" /> {names[1]}</span>
        <span class="muted">{unit}</span>
      </div>
      <div class="bar-plot">
        <div class="bar-scale small muted" aria-hidden="true">
          <span>{top}</span>
          <span>{top / 2}</span>
          <span>0</span>
        </div>
        <svg viewBox={`0 0 ${kWidth} ${kHeight}`} preserveAspectRatio="none" role="img" aria-label={label}>
          {[0.5, 1].map((part) => (
            <line key={part} x1={0} x2={kWidth} y1={kHeight * (1 - part) + 0.5} y2={kHeight * (1 - part) + 0.5} />
          ))}
          {bars.map((bar, i) => {
            const bad = y(bar.bad ?? 0);
            const good = y(bar.good ?? 0);
            const x = i * step;
            if (bar.good === null && bar.bad === null)
              return <rect key={bar.at} class="unknown" x={x} width={step} y={0} height={kHeight} />;
            return (
              <g key={bar.at}>
                <title>{`${clock(bar.at)} · ${names[0]} ${(bar.good ?? 0).toFixed(2)}, ${names[1]} ${(bar.bad ?? 0).toFixed(2)} ${unit}`}</title>
                <rect class="hit" x={x} width={step} y={0} height={kHeight} />
                <rect class="ok" x={x + step * 0.12} width={step * 0.76} y={kHeight - good - bad} height={good} />
                <rect class="bad" x={x + step * 0.12} width={step * 0.76} y={kHeight - bad} height={bad} />
              </g>
            );
          })}
        </svg>
        <div class="bar-times small muted" aria-hidden="true">
          {first && last && ticks.map((part) => <span key={part}>{clock(first.at + (last.at - first.at) * part)}</span>)}
        </div>
      </div>
    </figure>
  );
}
