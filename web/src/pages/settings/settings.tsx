// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { param, withQuery, type PageProps } from '../../lib/router';
import { session } from '../../lib/session';
import { settings as text } from '../../text/settings';
import { Badge, Card, EmptyState, Facts, Icon, PageHead, Show, Table, Tabs, type Column, type Fact } from '../../ui';
import { Sessions } from './sessions';
import { Tokens } from './tokens';

interface Setting {
  name: string;
  value: unknown;
  source: string;
}

interface Settings {
  settings: Setting[];
  storage: Record<string, unknown>;
  version: string;
  tls: Record<string, unknown>;
  retention: Record<string, unknown>;
  limits: Record<string, unknown>;
}

interface User {
  name: string;
  role: string;
  source: string;
}

type TabId = keyof typeof text.tabs;

const kTabs: TabId[] = ['configuration', 'users', 'tokens', 'sessions', 'about'];

export default function SettingsPage(_: PageProps) {
  const current = kTabs.find((id) => id === param('tab')) ?? 'configuration';
  const settings = useResource<Settings>(current === 'configuration' || current === 'about' ? '/api/settings' : null);
  return (
    <>
      <PageHead title={text.title} />
      <Tabs
        label={text.tabsLabel}
        current={current}
        tabs={kTabs.map((id) => ({ id, name: text.tabs[id], to: withQuery({ tab: id === 'configuration' ? null : id }) }))}
      />
      {current === 'configuration' && <Show of={settings}>{(value) => <Configuration settings={value.settings} />}</Show>}
      {current === 'about' && <Show of={settings}>{(value) => <About settings={value} />}</Show>}
      {current === 'users' && <Users />}
      {current === 'tokens' && <Tokens />}
      {current === 'sessions' && <Sessions />}
    </>
  );
}

function shownValue(value: unknown): string {
  if (value === null || value === undefined || value === '') return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function Configuration({ settings }: { settings: Setting[] }) {
  const [typed, setTyped] = useState('');
  const words = text.configuration;
  const rows = settings.filter((one) => `${one.name} ${shownValue(one.value)}`.toLowerCase().includes(typed.toLowerCase()));
  const columns: Column<Setting>[] = [
    { id: 'name', name: words.name, cell: (one) => <code class="break">{visible(one.name)}</code> },
    {
      id: 'value',
      name: words.value,
      cell: (one) => (shownValue(one.value) ? <span class="break">{visible(shownValue(one.value))}</span> : <span class="muted">{words.unset}</span>),
    },
    { id: 'source', name: words.source, align: 'fit', cell: (one) => <span class="muted">{visible(one.source)}</span> },
  ];
  return (
    <>
      <div class="search">
        <Icon name="search" />
        <input class="input" type="search" placeholder={words.search} aria-label={words.search} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
      </div>
      <Table caption={words.caption} columns={columns} rows={rows} id={(one) => one.name} empty={<EmptyState icon="search" title={words.search} />} />
    </>
  );
}

function Users() {
  const users = useResource<User[]>('/api/users');
  const words = text.users;
  const columns: Column<User>[] = [
    { id: 'name', name: words.name, cell: (user) => <strong>{visible(user.name)}</strong> },
    {
      id: 'role',
      name: words.role,
      cell: (user) => (
        <span class="row">
          <Badge icon={user.role === 'admin' ? 'shield' : 'user'} tone={user.role === 'admin' ? 'violet' : 'slate'}>{visible(user.role)}</Badge>
          <span class="muted">{words.can[user.role]}</span>
        </span>
      ),
    },
    { id: 'source', name: words.source, align: 'fit', cell: (user) => <span class="muted">{visible(user.source)}</span> },
  ];
  return (
    <Show of={users}>
      {(list) => (
        <>
          <p class="subtle small">{words.hint}</p>
          <Table
            caption={words.caption}
            columns={columns}
            rows={list}
            id={(user) => user.name}
            empty={<EmptyState icon="user" title={words.empty} command={words.command}>{words.emptyHint}</EmptyState>}
          />
        </>
      )}
    </Show>
  );
}

function facts(of: Record<string, unknown> | undefined): Fact[] {
  return Object.entries(of ?? {}).map(([name, value]) => [visible(name), <span class="break">{visible(shownValue(value)) || '–'}</span>]);
}

function About({ settings }: { settings: Settings }) {
  const words = text.about;
  return (
    <div class="grid-2">
      <Card title={words.server}>
        <Facts facts={[[words.version, settings.version], session.value?.clusterName && [words.server, visible(session.value.clusterName)]]} />
      </Card>
      <Card title={words.storage}><Facts facts={facts(settings.storage)} /></Card>
      <Card title={words.tls}><Facts facts={facts(settings.tls)} /></Card>
      <Card title={words.retention}><Facts facts={facts(settings.retention)} /></Card>
      <Card title={words.limits}><Facts facts={facts(settings.limits)} /></Card>
    </div>
  );
}
