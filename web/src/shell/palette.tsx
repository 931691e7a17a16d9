// SPDX-License-Identifier: Apache-2.0
// Ctrl+K: every page, the theme, and a job by its id.
import { useState } from 'preact/hooks';
import { navigate } from '../lib/router';
import { prefs, setPref } from '../lib/prefs';
import { text } from '../text/common';
import { Dialog, Icon, type IconName } from '../ui';
import { places } from './places';

interface Entry {
  name: string;
  icon: IconName;
  act: () => void;
}

const kJobId = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i;

function entries(typed: string): Entry[] {
  const words = typed.trim();
  const pages = places().map<Entry>((place) => ({
    name: place.name,
    icon: place.icon,
    act: () => navigate(place.path),
  }));
  const themes = (['light', 'system', 'dark'] as const)
    .filter((theme) => theme !== prefs.value.theme)
    .map<Entry>((theme) => ({
      name: `${text.theme.theme}: ${text.theme[theme]}`,
      icon: 'sun',
      act: () => setPref('theme', theme),
    }));
  const known = [...pages, ...themes].filter((entry) =>
    entry.name.toLowerCase().includes(words.toLowerCase()),
  );
  if (kJobId.test(words))
    return [{ name: text.palette.openJob(words), icon: 'jobs', act: () => navigate(`/jobs/${words}`) }];
  if (words)
    known.push({
      name: text.palette.searchJobs(words),
      icon: 'search',
      act: () => navigate(`/jobs?state=ALL&text=${encodeURIComponent(words)}`),
    });
  return known;
}

export function Palette({ close }: { close: () => void }) {
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  const found = entries(typed);
  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    close();
    entry.act();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt(Math.min(found.length - 1, at + 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(0, at - 1));
    else if (event.key === 'Enter') run(found[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={text.palette.title} close={close}>
      <div class="search">
        <Icon name="search" />
        <input
          class="input"
          data-autofocus
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-options"
          aria-activedescendant={`palette-${at}`}
          aria-label={text.palette.placeholder}
          placeholder={text.palette.placeholder}
          value={typed}
          autocomplete="off"
          onInput={(event) => {
            setTyped(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={onKey}
        />
      </div>
      <div class="palette-options" id="palette-options" role="listbox" aria-label={text.palette.title}>
        {found.map((entry, i) => (
          <div
            key={entry.name}
            id={`palette-${i}`}
            class="option"
            role="option"
            aria-selected={i === at}
            onPointerMove={() => setAt(i)}
            onClick={() => run(entry)}
          >
            <span class="row"><Icon name={entry.icon} /> {entry.name}</span>
          </div>
        ))}
        {found.length === 0 && <p class="muted">{text.palette.none}</p>}
      </div>
    </Dialog>
  );
}
