// SPDX-License-Identifier: Apache-2.0
import type { Plugin as PostcssPlugin } from 'postcss';
import { defineConfig, type Plugin } from 'vite';

// What the server fills into index.html, filled in for `npm run dev`.
function placeholders(): Plugin {
  return {
    name: 'jobmill-placeholders',
    apply: 'serve',
    transformIndexHtml: (html) =>
      html.replaceAll('__BASE__', '').replaceAll('__CSRF__', '').replaceAll('__THEME__', 'system'),
  };
}

// Rules of the dark theme, once more for those who have chosen none and whose system is dark.
const kDark = ":root[data-theme='dark']";
const kDarkSystem = ":root:not([data-theme='light'], [data-theme='dark'])";
const systemTheme: PostcssPlugin = {
  postcssPlugin: 'jobmill-system-theme',
  Once(root, { AtRule }) {
    root.walkRules(kDark, (rule) => {
      const media = new AtRule({ name: 'media', params: '(prefers-color-scheme: dark)' });
      rule.after(media.append(rule.clone({ selector: kDarkSystem })));
    });
  },
};

// `npm run dev` talks to a server that runs beside it.
const server = process.env['JOBMILL_SERVER'] ?? 'http://127.0.0.1:8000';
const proxied = Object.fromEntries(
  ['/api', '/v1', '/sse', '/oidc'].map((path) => [path, { target: server, changeOrigin: true }]),
);

export default defineConfig({
  plugins: [placeholders()],
  css: { postcss: { plugins: [systemTheme] } },
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  build: {
    target: 'es2021',
    assetsInlineLimit: 0, // one place for images: the policy of the page names no data: scripts
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 300,
  },
  // The page is served below any context path, so index.html carries a placeholder for it, and
  // scripts find each other relative to themselves.
  experimental: {
    renderBuiltUrl: (file, { hostType }) =>
      hostType === 'html' ? `__BASE__/dashboard/${file}` : { relative: true },
  },
  server: { port: 5174, strictPort: false, proxy: proxied },
});
