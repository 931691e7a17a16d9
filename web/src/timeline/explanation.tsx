// SPDX-License-Identifier: Apache-2.0
// Why: one decision with everything that it was made from.
import { duration } from '../lib/format';
import { now } from '../lib/now';
import { ago } from '../lib/format';
import { visible } from '../lib/plain';
import { dateAndClock, here, number } from './format';
import type { DecisionRecord, TriggerReading } from './decision';
import { formulaOf, ruleWords, stepsOf, winner } from './decision';
import { kKindWords } from './tracks';
import { MarkerShape } from './marker_shape';

export function Explanation({ record, level = 2 }: { record: DecisionRecord; level?: 2 | 3 }) {
  const Heading = level === 2 ? 'h2' : 'h3';
  const at = Date.parse(record.at);
  const held = record.repeated && record.until ? Date.parse(record.until) - at : 0;
  return (
    <article class={`explanation ${record.kind}`}>
      <header class="explanation-head">
        <span class={`explanation-mark ${record.kind}`}><MarkerShape kind={record.kind} /></span>
        <div>
          <Heading>
            {kKindWords[record.kind]}: <span class="nowrap">{record.from} → {record.to}</span>
          </Heading>
          <p class="small muted"><time dateTime={record.at}>{dateAndClock(at)}</time> · {ago(at, now.value)}{held > 0 ? ` · held for ${duration(held)}` : ''}</p>
        </div>
      </header>
      <p class="explanation-sentence">{visible(here(record.sentence, record.at))}</p>
      {record.counterfactual && (
        <p class="explanation-without">
          Without the rule “{ruleWords(record.counterfactual.rule)}”: <b>{record.counterfactual.replicas}</b>
        </p>
      )}
      <Readings record={record} />
      <Steps record={record} />
      <p class="small muted break">
        {record.semantics && <>semantics {record.semantics} · </>}
        {record.generation !== undefined && <>generation {record.generation} · </>}
        {record.repeated ? <>confirmed {number(record.repeated)} times · </> : null}
        {record.nextCheck ? <>next check by time {dateAndClock(Date.parse(record.nextCheck))} · </> : null}
        inputs <code>{record.inputsHash ?? '–'}</code>
      </p>
    </article>
  );
}

function Readings({ record }: { record: DecisionRecord }) {
  const best = winner(record);
  return (
    <ul class="readings" aria-label="What was seen">
      {(record.triggers ?? []).map((reading) => (
        <Reading key={reading.name + reading.type} reading={reading} wins={reading === best} ready={record.ready ?? record.from} />
      ))}
    </ul>
  );
}

function Reading({ reading, wins, ready }: { reading: TriggerReading; wins: boolean; ready: number }) {
  return (
    <li class={`reading${wins ? ' wins' : ''}${reading.error ? ' failed' : ''}`}>
      <div class="reading-head">
        <span class="strong break">{visible(reading.name || reading.type)}</span>
        <span class="muted small">{reading.type} · {reading.error ? 'could not be read' : `read ${duration(reading.ageMs)} before`}{wins ? ' · decides' : ''}</span>
      </div>
      <dl class="reading-numbers">
        <div><dt>value</dt><dd>{typeof reading.value !== 'number' ? 'unknown' : number(reading.value)}</dd></div>
        <div><dt>per replica</dt><dd>{typeof reading.perReplica !== 'number' ? '–' : number(reading.perReplica)}</dd></div>
        <div><dt>target</dt><dd>{number(reading.target)}</dd></div>
        <div><dt>asks for</dt><dd>{reading.proposal ?? 'no vote'}</dd></div>
      </dl>
      <p class="reading-formula mono break">{visible(formulaOf(reading, ready))}</p>
    </li>
  );
}

function Steps({ record }: { record: DecisionRecord }) {
  return (
    <ol class="steps" aria-label="From the wish to the number">
      {stepsOf(record).map(({ rules, name, text }) => {
        const limits = rules.includes(record.limitingRule);
        return (
          <li key={name} class={limits ? 'limits' : ''}>
            <span class="step-name">{name}</span>
            <span class="step-text">{visible(text)}{limits && <em class="step-limits">this rule decided</em>}</span>
          </li>
        );
      })}
      <li class="result"><span class="step-name">Result</span><span class="step-text"><b>{record.to}</b> {record.to === 1 ? 'replica' : 'replicas'}</span></li>
    </ol>
  );
}
