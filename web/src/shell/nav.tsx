// SPDX-License-Identifier: Apache-2.0
import { path } from '../lib/router';
import { session } from '../lib/session';
import { shortCount } from '../lib/format';
import { text } from '../text/common';
import { Button, Icon, Link } from '../ui';
import { sections } from './places';
import { useStats } from './stats';

export function Nav({ close }: { close: () => void }) {
  const stats = useStats();
  const cluster = session.value?.clusterName;
  const counts: Record<string, number | undefined> = {
    '/jobs': stats.data?.enqueued,
    '/busy': stats.data?.processing,
    '/servers': stats.data?.backgroundJobServers,
  };
  return (
    <>
      <div class="nav-scrim" onClick={close} />
      <nav class="nav" aria-label={text.nav.label} id="nav">
        <div class="nav-head">
          <Link class="brand" to="/overview">
            <Logo />
            <span>
              {text.product}
              {cluster && cluster !== text.product && <small>{cluster}</small>}
            </span>
          </Link>
          <span class="nav-close">
            <Button look="quiet" icon="close" label={text.nav.close} onClick={close} />
          </span>
        </div>
        {sections().map((section) => (
          <div class="nav-section" key={section.name}>
            <h2 id={`nav-${section.name}`}>{section.name}</h2>
            <ul aria-labelledby={`nav-${section.name}`}>
              {section.places.map((place) => {
                const here = path.value === place.path || path.value.startsWith(`${place.path}/`);
                const n = counts[place.path];
                return (
                  <li key={place.path}>
                    <Link class="nav-item" to={place.path} aria-current={here ? 'page' : undefined}>
                      <Icon name={place.icon} />
                      <span class="grow">{place.name}</span>
                      {n !== undefined && n > 0 && <span class="nav-count">{shortCount(n)}</span>}
                    </Link>
                  </li>
                );
              })}
            </ul>
          </div>
        ))}
        <div class="nav-foot">{session.value?.version && `${text.product} ${session.value.version}`}</div>
      </nav>
    </>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M16 16 22.5 6.5M16 16l9.5 6.5M16 16 9.5 25.5M16 16 6.5 9.5" />
      <circle cx="16" cy="16" r="3" />
    </svg>
  );
}
