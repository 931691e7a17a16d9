// SPDX-License-Identifier: Apache-2.0
// Who is looking, and what they may do. What a role cannot do is not shown; the server decides.
import { signal } from '@preact/signals';
import { api, csrf, signedOut } from './api';

export type Scope = 'read' | 'produce' | 'work' | 'operate' | 'admin';

export interface Session {
  user: string;
  role: string;
  scopes: Scope[];
  csrf: string;
  loginMethods: string[];
  anonymous: boolean;
  version: string;
  clusterName: string;
  contextPath: string;
}

export const session = signal<Session | undefined>(undefined);

// Without a login there is a session, too; it says how one can sign in, and that nothing is allowed.
function accept(value: Session): void {
  csrf.value = value.csrf;
  session.value = value;
  signedOut.value = !value.scopes.includes('read');
}

export async function loadSession(): Promise<void> {
  accept(await api.get<Session>('/api/session'));
}

export async function login(user: string, password: string): Promise<void> {
  accept(await api.post<Session>('/api/login', { user, password }));
}

export async function logout(): Promise<void> {
  await api.post('/api/logout');
  await loadSession();
}

export function can(scope: Scope): boolean {
  return session.value?.scopes.includes(scope) ?? false;
}
