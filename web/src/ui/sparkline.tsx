// SPDX-License-Identifier: Apache-2.0
// A word-sized line. The text beside it, or `label`, says what it shows.
export function Sparkline(props: { values: (number | null)[]; label: string; width?: number; height?: number }) {
  const { width = 96, height = 22 } = props;
  const known = props.values.filter((v): v is number => v !== null);
  const most = Math.max(1e-9, ...known);
  const step = width / Math.max(1, props.values.length - 1);
  let path = '';
  let down = false; // unknown values are gaps, never zeros
  props.values.forEach((value, i) => {
    if (value === null) {
      down = false;
      return;
    }
    const y = height - 1 - (value / most) * (height - 2);
    path += `${down ? 'L' : 'M'}${(i * step).toFixed(1)} ${y.toFixed(1)}`;
    down = true;
  });
  return (
    <svg class="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={props.label}>
      <path d={path || `M0 ${height - 1}`} />
    </svg>
  );
}
