// SPDX-License-Identifier: Apache-2.0
// Line icons on a 16-pixel grid. An icon never stands alone for a meaning: a word is beside it, or
// its button has a label.
const kPaths = {
  overview: 'M2.5 9.5h4v4h-4zM9.5 7.5h4v6h-4zM2.5 2.5h4v4h-4zM9.5 2.5h4v2h-4z',
  jobs: 'M2.5 4h11M2.5 8h11M2.5 12h7',
  queues: 'M2.5 3.5h11v3h-11zM2.5 9.5h11v3h-11zM5 5h.01M5 11h.01',
  failures: 'M8 2.2 14.3 13.3H1.7zM8 6.5v3M8 11.4v.1',
  recurring: 'M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 1.8v2.7h-2.7',
  servers: 'M2.5 2.5h11v4.5h-11zM2.5 9h11v4.5h-11zM5 4.75h.01M5 11.25h.01M8 4.75h3M8 11.25h3',
  busy: 'M8.8 1.8 3.5 9h4l-.4 5.2L12.5 7h-4z',
  autoscaling: 'M2.5 13.5v-3h3v-3h3v-3h3v-2h2M10 13.5h3.5V10',
  executions: 'M2.5 3h11v10h-11zM5 6.2 7 8l-2 1.8M8.5 10H11',
  messages: 'M2.5 4h11v8.5h-11zM2.8 4.4 8 8.8l5.2-4.4',
  audit: 'M4 2.5h8v11H4zM6 5.5h4M6 8h4M6 10.5h2',
  settings: 'M3 4.5h5M12 4.5h1M3 11.5h1M8 11.5h5M10 4.5m-1.8 0a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0M6 11.5m-1.8 0a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0',
  bell: 'M4 11V7a4 4 0 0 1 8 0v4l1 1.3H3zM6.7 14.2h2.6',
  search: 'M7 7m-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0M10.2 10.2 13.5 13.5',
  menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
  close: 'M4 4l8 8M12 4l-8 8',
  check: 'M3 8.5 6.5 12 13 4.5',
  'check-circle': 'M8 8m-5.7 0a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M5.4 8.2 7.2 10l3.4-3.8',
  'cross-circle': 'M8 8m-5.7 0a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M6 6l4 4M10 6l-4 4',
  clock: 'M8 8m-5.7 0a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M8 4.8V8l2.2 1.6',
  hourglass: 'M4.5 2.5h7M4.5 13.5h7M5.5 2.5v2.2L8 8l2.5-3.3V2.5M5.5 13.5v-2.2L8 8l2.5 3.3v2.2',
  inbox: 'M2.5 9.5 4 3.5h8l1.5 6v3h-11zM2.5 9.5h3.2l.8 1.5h3l.8-1.5h3.2',
  play: 'M5 3.2v9.6L12.5 8z',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  stop: 'M4 4h8v8H4z',
  trash: 'M3 4.5h10M6.2 4.5V3h3.6v1.5M4.3 4.5l.6 9h6.2l.6-9M6.8 7v4M9.2 7v4',
  outside: 'M9 2.5h4.5V7M13.5 2.5 8 8M11.5 9.5v4h-9v-9h4',
  refresh: 'M13.2 8a5.2 5.2 0 1 1-1.6-3.8M13.3 2v2.8h-2.8',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  up: 'M8 13V3.5M4 7.5l4-4 4 4',
  down: 'M8 3v9.5M4 8.5l4 4 4-4',
  left: 'M10 3.5 5.5 8l4.5 4.5',
  right: 'M6 3.5 10.5 8 6 12.5',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  info: 'M8 8m-5.7 0a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M8 7.3v3.5M8 5.2v.1',
  warning: 'M8 2.2 14.3 13.3H1.7zM8 6.5v3M8 11.4v.1',
  plus: 'M8 3v10M3 8h10',
  user: 'M8 5.2m-2.7 0a2.7 2.7 0 1 0 5.4 0a2.7 2.7 0 1 0-5.4 0M2.8 13.5c.6-2.6 2.6-3.9 5.2-3.9s4.6 1.3 5.2 3.9',
  sun: 'M8 8m-2.8 0a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0-5.6 0M8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9',
  download: 'M8 2.5v8M4.5 7.5 8 11l3.5-3.5M2.5 13.5h11',
  edit: 'M3 13l.6-2.8L10.8 3l2.2 2.2-7.2 7.2zM9.5 4.3l2.2 2.2',
  filter: 'M2.5 3.5h11L9.3 8.4v4.1l-2.6 1V8.4z',
  columns: 'M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10',
  bolt: 'M8.8 1.8 3.5 9h4l-.4 5.2L12.5 7h-4z',
  key: 'M5.5 10.5m-2.7 0a2.7 2.7 0 1 0 5.4 0a2.7 2.7 0 1 0-5.4 0M7.4 8.6 13 3M10.5 5.5l1.8 1.8',
  shield: 'M8 1.8 13 3.6v4c0 3.2-2.1 5.5-5 6.6-2.9-1.1-5-3.4-5-6.6v-4z',
  link: 'M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2-2a2.6 2.6 0 0 0-3.7-3.7l-.8.8M9.2 6.8a2.6 2.6 0 0 0-3.7 0l-2 2a2.6 2.6 0 0 0 3.7 3.7l.8-.8',
  live: 'M8 8m-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0M4.5 4.5a5 5 0 0 0 0 7M11.5 4.5a5 5 0 0 1 0 7',
  unplug: 'M3 3l10 10M6 2.8v2.4M10 2.8v3.4M4 6h5M12 6v1.5a4 4 0 0 1-.6 2.1M4 6v1.5a4 4 0 0 0 5.6 3.6M8 11.5v2.7',
};

export type IconName = keyof typeof kPaths;

export function Icon({ name, className = '' }: { name: IconName; className?: string }) {
  return (
    <svg class={`icon ${className}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={kPaths[name]} />
    </svg>
  );
}
