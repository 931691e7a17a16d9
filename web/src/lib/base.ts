// SPDX-License-Identifier: Apache-2.0
// Where the dashboard lives. The server fills the meta tag with its context path, "" or "/ops".

function meta(name: string): string {
  const tag = document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`);
  const content = tag?.content ?? '';
  return content.startsWith('__') ? '' : content;
}

export const contextPath = meta('base').replace(/\/$/, '');
export const dashboardPath = `${contextPath}/dashboard`;
export const initialCsrf = meta('csrf');
