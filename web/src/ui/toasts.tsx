// SPDX-License-Identifier: Apache-2.0
import { closeToast, toasts } from '../lib/toast';
import { visible } from '../lib/plain';
import { text } from '../text/common';
import { Button, Link } from './basics';
import { Icon } from './icons';

export function Toasts() {
  return (
    <div class="toasts" role="region" aria-label="Messages" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.kind}`}>
          <Icon name={toast.kind === 'done' ? 'check-circle' : 'cross-circle'} />
          <div class="grow">
            {visible(toast.text)} {toast.link && <Link to={toast.link.href}>{toast.link.text}</Link>}
          </div>
          <Button small look="quiet" icon="close" label={text.actions.close} onClick={() => closeToast(toast.id)} />
        </div>
      ))}
    </div>
  );
}
