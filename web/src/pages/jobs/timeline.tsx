// SPDX-License-Identifier: Apache-2.0
// What happened to a job, event by event, with the time that went by between.
import type { ComponentChildren } from 'preact';
import { bytes, duration, ms } from '../../lib/format';
import { visible } from '../../lib/plain';
import type { Crash, JobEvent } from '../../lib/types';
import { job as text } from '../../text/jobs';
import { Code, Duration, Facts, Icon, Link, RelativeTime, stateLook } from '../../ui';

export function ErrorBox({ event }: { event: JobEvent }) {
  return (
    <div class="error-box">
      <div>
        <strong>{visible(event.exceptionType || event.message || text.error)}</strong>
        {event.exceptionMessage && <>: {visible(event.exceptionMessage)}</>}
      </div>
      {event.exceptionCauseType && (
        <div>
          <span class="muted">{text.cause}</span> <strong>{visible(event.exceptionCauseType)}</strong>
          {event.exceptionCauseMessage && <>: {visible(event.exceptionCauseMessage)}</>}
        </div>
      )}
      {event.doNotRetry && <div class="muted">{text.noRetry}</div>}
      {event.stackTrace && (
        <details>
          <summary>{text.stack}</summary>
          <Code label={text.stack}>{event.stackTrace}</Code>
        </details>
      )}
      {event.crash && <PostMortem crash={event.crash} />}
      {event.fingerprint && (
        <Link class="small" to={`/jobs?state=FAILED&failureFingerprint=${encodeURIComponent(event.fingerprint)}`}>{text.similar}</Link>
      )}
    </div>
  );
}

function PostMortem({ crash }: { crash: Crash }) {
  return (
    <div class="stack-s">
      <h3>{text.postMortem}</h3>
      <Facts
        facts={[
          crash.signal !== undefined && [text.signal, visible(String(crash.signal))],
          crash.exitCode !== undefined && [text.exitCode, crash.exitCode],
          crash.peakRss !== undefined && [text.peakRss, bytes(crash.peakRss)],
          crash.oom !== undefined && [text.oom, crash.oom ? text.yes : text.no],
          crash.build && [text.build, visible(crash.build)],
        ]}
      />
      {crash.stderrTail && (
        <>
          <h3>{text.stderr}</h3>
          <Code label={text.stderr}>{crash.stderrTail}</Code>
        </>
      )}
    </div>
  );
}

function seconds(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Number(value) * 1_000;
}

function details(event: JobEvent): ComponentChildren {
  switch (event.state) {
    case 'SCHEDULED':
      return <>{event.reason && `${visible(event.reason)} · `}{text.runAt} <RelativeTime at={event.scheduledAt} /></>;
    case 'PROCESSING':
      return (
        <>
          {event.attempt !== undefined && `${text.attemptN(event.attempt)} · `}
          {event.serverId && <Link to={`/servers/${encodeURIComponent(event.serverId)}`}>{visible(event.serverName || event.serverId)}</Link>}
        </>
      );
    case 'SUCCEEDED':
      return (
        <>
          {event.latencyDuration !== undefined && <>{text.latency} <Duration ms={seconds(event.latencyDuration)} /> · </>}
          {event.processDuration !== undefined && <>{text.ran} <Duration ms={seconds(event.processDuration)} /></>}
        </>
      );
    default:
      return event.reason ? visible(event.reason) : null;
  }
}

export function Timeline({ history, newestFirst }: { history: JobEvent[]; newestFirst: boolean }) {
  const events = history.map((event, i) => {
    const before = history[i - 1];
    const [from, until] = [ms(before?.createdAt), ms(event.createdAt)];
    return { event, n: i, gap: from !== undefined && until !== undefined ? until - from : undefined };
  });
  if (newestFirst) events.reverse();
  return (
    <ol class="timeline">
      {events.map(({ event, n, gap }) => {
        const look = stateLook(event.state);
        const more = details(event);
        return (
          <li class="event" key={n}>
            <span class={`event-dot ${look.tone}`}><Icon name={look.icon} /></span>
            <div class="event-body">
              <div class="event-head">
                <strong>{look.name}</strong>
                <span class="muted"><RelativeTime at={event.createdAt} /></span>
                {gap !== undefined && <span class="muted small">+{duration(gap)}</span>}
              </div>
              {more && <div class="subtle">{more}</div>}
              {event.state === 'FAILED' ? <ErrorBox event={event} /> : event.crash && <PostMortem crash={event.crash} />}
            </div>
          </li>
        );
      })}
    </ol>
  );
}
