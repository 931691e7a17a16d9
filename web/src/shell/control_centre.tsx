// SPDX-License-Identifier: Apache-2.0
import { instant } from '../lib/format';
import { now } from '../lib/now';
import { prefs, setPref, type DateStyle, type Density, type Theme } from '../lib/prefs';
import { text } from '../text/common';
import { Field, Segments } from '../ui';

const kThemes: Theme[] = ['light', 'system', 'dark'];
const kDates: DateStyle[] = ['ago', 'locale', 'browser', 'iso'];
const kDensities: Density[] = ['comfortable', 'compact'];
const kExampleAge = 192_000;

export function ControlCentre() {
  const { theme, dates, zone, density, shortcuts } = prefs.value;
  const zones = ['UTC', ...Intl.supportedValuesOf('timeZone')];
  const choices = <T extends 'light' | 'system' | 'dark' | DateStyle | Density>(values: T[]) =>
    values.map((value) => ({ value, name: text.theme[value] }));
  return (
    <div class="stack">
      <h2>{text.theme.title}</h2>
      <div class="field">
        <span>{text.theme.theme}</span>
        <Segments label={text.theme.theme} value={theme} choices={choices(kThemes)} onChange={(value) => setPref('theme', value)} />
      </div>
      <div class="field">
        <span>{text.theme.dates}</span>
        <Segments label={text.theme.dates} value={dates} choices={choices(kDates)} onChange={(value) => setPref('dates', value)} />
        <span class="hint">
          {text.theme.example}: {instant(now.value - kExampleAge, now.value)}
        </span>
      </div>
      <Field name={text.theme.zone}>
        <select class="select" value={zone} onChange={(event) => setPref('zone', event.currentTarget.value)}>
          <option value="">{text.theme.zoneOwn} ({Intl.DateTimeFormat().resolvedOptions().timeZone})</option>
          {zones.map((name) => (
            <option key={name} value={name}>{name}</option>
          ))}
        </select>
      </Field>
      <div class="field">
        <span>{text.theme.density}</span>
        <Segments label={text.theme.density} value={density} choices={choices(kDensities)} onChange={(value) => setPref('density', value)} />
      </div>
      <label class="check">
        <input type="checkbox" class="checkbox" checked={shortcuts} onChange={(event) => setPref('shortcuts', event.currentTarget.checked)} />
        {text.theme.shortcuts}
      </label>
    </div>
  );
}
