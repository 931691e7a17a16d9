// SPDX-License-Identifier: Apache-2.0
import { text } from '../text/common';
import { Dialog } from '../ui';
import { places } from './places';

export function Help({ close }: { close: () => void }) {
  return (
    <Dialog title={text.help.title} close={close} wide>
      <div class="help-grid">
        <section>
          <h3>{text.help.go}</h3>
          <dl class="keys">
            {places()
              .filter((place) => place.key)
              .map((place) => (
                <div key={place.path}>
                  <dt><kbd>g</kbd> <kbd>{place.key}</kbd></dt>
                  <dd>{place.name}</dd>
                </div>
              ))}
          </dl>
        </section>
        <section>
          <h3>{text.help.anywhere}</h3>
          <dl class="keys">
            {Object.entries(text.help.rows).map(([key, what]) => (
              <div key={key}>
                <dt><kbd>{key}</kbd></dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </section>
      </div>
    </Dialog>
  );
}
