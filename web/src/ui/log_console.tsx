// SPDX-License-Identifier: Apache-2.0
// Lines of a log: level filter, search, and following the end for as long as nobody scrolls up.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { clock, exactInstant, ms, plural } from '../lib/format';
import { ansi } from '../lib/plain';
import { log as words } from '../text/log';
import { Button, Segments } from './basics';
import { Icon } from './icons';

export interface ConsoleLine {
  n: number | string; // names the line for as long as it is shown
  level?: string;
  at?: string;
  text: string;
}

interface LogConsoleProps {
  lines: ConsoleLine[];
  label: string;
  live?: boolean;
  dropped?: number; // lines that the store had no room for
  download?: () => void;
  actions?: ComponentChildren;
}

const kLevels = ['', 'INFO', 'WARN', 'ERROR'] as const;
const kMostShown = 5_000;

function marked(text: string, needle: string): ComponentChildren {
  if (!needle) return text;
  const at = text.toLowerCase().indexOf(needle);
  if (at < 0) return text;
  return (
    <>
      {text.slice(0, at)}
      <mark>{text.slice(at, at + needle.length)}</mark>
      {marked(text.slice(at + needle.length), needle)}
    </>
  );
}

export function LogConsole(props: LogConsoleProps) {
  const [level, setLevel] = useState<string>('');
  const [needle, setNeedle] = useState('');
  const [follow, setFollow] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const least = kLevels.indexOf(level as (typeof kLevels)[number]);
  const shown = useMemo(() => {
    const wanted = needle.toLowerCase();
    return props.lines
      .filter((line) => least <= 0 || kLevels.indexOf((line.level ?? 'INFO') as 'INFO') >= least)
      .filter((line) => !wanted || line.text.toLowerCase().includes(wanted))
      .slice(-kMostShown);
  }, [props.lines, least, needle]);

  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown, follow]);

  const onScroll = () => {
    const el = box.current;
    if (el) setFollow(el.scrollHeight - el.scrollTop - el.clientHeight < 24);
  };
  const levels = props.lines.some((line) => line.level !== undefined);
  return (
    <div class="stack-s">
      <div class="row">
        <div class="search grow">
          <Icon name="search" />
          <input
            class="input"
            type="search"
            placeholder={words.search}
            aria-label={words.search}
            value={needle}
            onInput={(event) => setNeedle(event.currentTarget.value)}
          />
        </div>
        {levels && (
          <Segments
            label={words.level}
            value={level}
            choices={kLevels.map((value) => ({ value, name: value || words.all }))}
            onChange={setLevel}
          />
        )}
        {props.live && (
          <Button small aria-pressed={follow} icon="down" onClick={() => setFollow(!follow)}>{words.follow}</Button>
        )}
        {props.download && <Button small icon="download" label={words.download} onClick={props.download} />}
        {props.actions}
      </div>
      <div class="log" ref={box} onScroll={onScroll} tabIndex={0} role="log" aria-label={props.label} aria-live="off">
        {(props.dropped ?? 0) > 0 && <div class="log-line muted">{words.dropped(props.dropped ?? 0)}</div>}
        {shown.map((line) => (
          <div key={line.n} class={`log-line ${line.level ?? ''}`}>
            {line.at ? <time title={exactInstant(ms(line.at) ?? 0)}>{clock(ms(line.at) ?? 0)}</time> : <span />}
            <span class="level">{line.level ?? ''}</span>
            <span class="log-text">
              {ansi(line.text).map((piece, i) => (
                <span key={i} class={piece.className}>{marked(piece.text, needle.toLowerCase())}</span>
              ))}
            </span>
          </div>
        ))}
        {shown.length === 0 && <div class="log-line muted">{props.lines.length === 0 ? words.none : words.noMatch}</div>}
      </div>
      <div class="small muted">{plural(shown.length, 'line')}</div>
    </div>
  );
}
