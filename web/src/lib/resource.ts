// SPDX-License-Identifier: Apache-2.0
// What a page reads from the server: the value, whether it could be read, and how old it is. When
// the server fails, the last known value stays and `error` says why.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { api, asApiError, isAbort, type ApiError } from './api';
import { liveState, pollTick, subscribe } from './live';

export interface Resource<T> {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean; // the first time, or after the path changed
  at: number; // when `data` was true, in ms since the epoch
  refresh: () => void;
}

export interface ResourceOptions {
  // A topic of the event stream that carries the same value.
  topic?: string | undefined;
  // Reads again each so many ms, for values that have no topic. 0: never.
  everyMs?: number;
}

interface State<T> {
  key: string | null;
  data: T | undefined;
  error: ApiError | undefined;
  at: number;
}

const kEmpty = { data: undefined, error: undefined, at: 0 };

// Reads `path`; null reads nothing yet.
export function useResource<T>(path: string | null, options: ResourceOptions = {}): Resource<T> {
  return useLoader<T>(path, (abort) => api.get<T>(path ?? '', abort), options);
}

// The same for a request that is more than a GET. `key` says when it is another one.
export function useLoader<T>(
  key: string | null,
  load: (abort: AbortSignal) => Promise<T>,
  { topic, everyMs = 0 }: ResourceOptions = {},
): Resource<T> {
  const [state, setState] = useState<State<T>>({ key, ...kEmpty });
  const [round, setRound] = useState(0);
  const loader = useRef(load);
  loader.current = load;

  useEffect(() => {
    if (key === null) return;
    const abort = new AbortController();
    loader.current(abort.signal).then(
      (data) => setState({ key, data, error: undefined, at: Date.now() }),
      (error: unknown) => {
        if (isAbort(error)) return;
        const problem = asApiError(error);
        setState((old) =>
          old.key === key ? { ...old, error: problem } : { key, ...kEmpty, error: problem },
        );
      },
    );
    return () => abort.abort();
  }, [key, round]);

  useEffect(() => {
    if (!topic || key === null) return;
    return subscribe(topic, (value) =>
      setState({ key, data: value as T, error: undefined, at: Date.now() }),
    );
  }, [topic, key]);

  useEffect(() => {
    const again = () => setRound((n) => n + 1);
    let first = true;
    const stop = pollTick.subscribe(() => {
      if (first) first = false;
      else again();
    });
    const timer = everyMs > 0 ? window.setInterval(() => document.hidden || again(), everyMs) : 0;
    return () => {
      stop();
      window.clearInterval(timer);
    };
  }, [everyMs]);

  const refresh = useCallback(() => setRound((n) => n + 1), []);
  const current = state.key === key ? state : { key, ...kEmpty };
  return {
    data: current.data,
    error: current.error,
    loading: key !== null && current.data === undefined && current.error === undefined,
    at: current.at,
    refresh,
  };
}

export { liveState };
