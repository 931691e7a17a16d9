// SPDX-License-Identifier: Apache-2.0
// Requests to the control server. Every failure is an ApiError with the words of the server's
// problem document; nothing is swallowed. Paths are absolute inside the context path ("/api/jobs").
import { signal } from '@preact/signals';
import { contextPath, initialCsrf } from './base';

export interface FieldProblem {
  field: string;
  reason: string;
}

export class ApiError extends Error {
  readonly status: number; // 0: the server could not be reached
  readonly code: string;
  readonly fields: FieldProblem[];

  constructor(status: number, code: string, message: string, fields: FieldProblem[] = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

// The token that goes with the session's cookie; the login page replaces it.
export const csrf = signal(initialCsrf);
// Set when a request was refused for want of a login.
export const signedOut = signal(false);

export interface RequestOptions {
  method?: string;
  body?: unknown;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

export function url(path: string): string {
  return contextPath + path;
}

export type Query = Record<string, string | number | boolean | string[] | null | undefined>;

export function query(path: string, parameters: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (Array.isArray(value)) value.forEach((one) => search.append(name, one));
    else if (value !== undefined && value !== null && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

interface ProblemDocument {
  title?: string;
  detail?: string;
  code?: string;
  errors?: FieldProblem[];
}

async function problemOf(response: Response): Promise<ApiError> {
  const type = response.headers.get('content-type') ?? '';
  let problem: ProblemDocument = {};
  if (type.includes('json')) problem = (await response.json().catch(() => ({}))) as ProblemDocument;
  const message = problem.detail || problem.title || `The server answered ${response.status}.`;
  return new ApiError(response.status, problem.code ?? '', message, problem.errors ?? []);
}

export async function send(path: string, options: RequestOptions = {}): Promise<Response> {
  const method = options.method ?? 'GET';
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET') headers['X-Jobmill-CSRF'] = csrf.peek();
  let response: Response;
  try {
    response = await fetch(url(path), {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      credentials: 'same-origin',
      signal: options.signal ?? null,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, 'unreachable', 'The control server cannot be reached.');
  }
  if (response.ok) return response;
  if (response.status === 401 && path !== '/api/login') signedOut.value = true;
  throw await problemOf(response);
}

async function answer<T>(path: string, options: RequestOptions): Promise<T> {
  const response = await send(path, options);
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const api = {
  get: <T>(path: string, abort?: AbortSignal) =>
    answer<T>(path, abort ? { signal: abort } : {}),
  post: <T = void>(path: string, body: unknown = {}, abort?: AbortSignal) =>
    answer<T>(path, abort ? { method: 'POST', body, signal: abort } : { method: 'POST', body }),
  put: <T = void>(path: string, body: unknown) => answer<T>(path, { method: 'PUT', body }),
  remove: <T = void>(path: string, body?: unknown) => answer<T>(path, { method: 'DELETE', body }),
};

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, 'client', error instanceof Error ? error.message : String(error));
}
