// SPDX-License-Identifier: Apache-2.0
// The components that pages are built of.
export * from './basics';
export * from './dialog';
export * from './icons';
export * from './json';
export * from './log_console';
export * from './search_box';
export * from './sparkline';
export * from './table';
