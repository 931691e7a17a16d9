// SPDX-License-Identifier: Apache-2.0
// A search field with completion: a combobox as the ARIA practices describe it.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { useShortcuts } from '../lib/keys';
import { visible } from '../lib/plain';
import { Icon } from './icons';

export interface Suggestion {
  value: string; // what the field holds after choosing it
  name: string;
  hint?: string;
  more?: boolean; // not finished: the person goes on typing
}

interface SearchBoxProps {
  label: string;
  placeholder: string;
  initial?: string;
  suggest: (typed: string) => Suggestion[] | Promise<Suggestion[]>;
  onSubmit: (text: string) => void;
}

export function SearchBox(props: SearchBoxProps) {
  const [typed, setTyped] = useState(props.initial ?? '');
  const [options, setOptions] = useState<Suggestion[]>([]);
  const [at, setAt] = useState(-1);
  const [open, setOpen] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  useShortcuts({ '/': () => input.current?.focus() });

  useEffect(() => {
    if (!open) return;
    let gone = false;
    void Promise.resolve(props.suggest(typed)).then((found) => {
      if (gone) return;
      setOptions(found);
      setAt(-1);
    });
    return () => {
      gone = true;
    };
  }, [typed, open]);

  const submit = (text: string) => {
    setTyped('');
    setOpen(false);
    props.onSubmit(text);
  };
  const choose = (option: Suggestion) => {
    if (option.more) setTyped(option.value);
    else submit(option.value);
    input.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    const chosen = options[at];
    if (event.key === 'ArrowDown') setAt(Math.min(options.length - 1, at + 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(-1, at - 1));
    else if (event.key === 'Enter' && chosen) choose(chosen);
    else if (event.key === 'Enter') submit(typed);
    else if (event.key === 'Tab' && chosen) choose(chosen);
    else if (event.key === 'Escape' && open) setOpen(false);
    else if (event.key === 'Escape') input.current?.blur();
    else return;
    event.preventDefault();
  };
  const listed = open && options.length > 0;
  return (
    <div class="search grow" role="search">
      <Icon name="search" />
      <input
        ref={input}
        class="input"
        type="text"
        role="combobox"
        aria-label={props.label}
        aria-expanded={listed}
        aria-controls={`${id}-options`}
        aria-autocomplete="list"
        aria-activedescendant={at >= 0 ? `${id}-${at}` : undefined}
        placeholder={props.placeholder}
        autocomplete="off"
        spellcheck={false}
        value={typed}
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={onKey}
      />
      <kbd aria-hidden="true">/</kbd>
      <div class="options" id={`${id}-options`} role="listbox" aria-label={props.label} hidden={!listed}>
        {options.map((option, i) => (
          <div
            key={option.value}
            id={`${id}-${i}`}
            class="option"
            role="option"
            aria-selected={i === at}
            onPointerDown={(event) => {
              event.preventDefault();
              choose(option);
            }}
          >
            <span class="break">{visible(option.name)}</span>
            {option.hint && <span class="hint">{visible(option.hint)}</span>}
          </div>
        ))}
      </div>
    </div>
  );
}
