// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/migrations/list.h"

namespace jobmill::postgres {

// jobmill_enqueue and jobmill_enqueue_many: jobs from within anybody's transaction, in any language
// that speaks SQL. A job that they write is the same, to the letter, as the one that a server makes
// of the same request: jobs/job_template.h has the rules, jobs/extra.h the text of `extra`.
//
// The transaction may stay open for minutes, so it holds nothing that others need: it writes rows
// of its own, also for the counters, whose shards are folded later. Only who needs a lane that an
// open transaction makes must wait for it.
//
// They run with the rights of the schema's owner, so that producers need none on the tables, and
// in the owner's schema, whatever the caller's search path is. Nothing is kept in the session.
//
// What is wrong is told as "field: reason": 22023 for a value, 54000 for too much of them, 23505
// when the id is that of another job.
const Migration kEnqueueMigration{2, "enqueue", R"sql(
  CREATE FUNCTION jobmill_refuse(field text, reason text, code text DEFAULT '22023')
  RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION USING MESSAGE = field || ': ' || reason, ERRCODE = code;
  END $$;

  -- --- reading a spec --------------------------------------------------------------------------
  -- `at` is what stands before a field's name in a message. A JSON null is as good as nothing.

  CREATE FUNCTION jobmill_member(spec jsonb, at text, field text, wanted text)
  RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    value jsonb := spec -> field;
    given text := jsonb_typeof(value);
  BEGIN
    IF given IS NULL OR given = 'null' THEN RETURN NULL; END IF;
    IF given <> wanted THEN
      PERFORM jobmill_refuse(at || field, format('expected %s, got %s', wanted, given));
    END IF;
    RETURN value;
  END $$;

  CREATE FUNCTION jobmill_text(spec jsonb, at text, field text, most integer)
  RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    value text := jobmill_member(spec, at, field, 'string') #>> '{}';
  BEGIN
    IF octet_length(value) > most THEN
      PERFORM jobmill_refuse(at || field, format('longer than %s bytes', most));
    END IF;
    RETURN value;
  END $$;

  CREATE FUNCTION jobmill_integer(spec jsonb, at text, field text, low bigint, high bigint)
  RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    value jsonb := spec -> field;
  BEGIN
    IF value IS NULL OR value = 'null' THEN
      RETURN NULL;
    ELSIF jsonb_typeof(value) = 'number' AND value::text ~ '^-?[0-9]+$' THEN
      IF value::numeric BETWEEN low AND high THEN RETURN value::bigint; END IF;
    END IF;
    PERFORM jobmill_refuse(at || field, format('expected an integer from %s to %s', low, high));
  END $$;

  CREATE FUNCTION jobmill_check_names(spec jsonb, at text, known text[])
  RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN
    IF spec - known <> '{}' THEN
      PERFORM jobmill_refuse(at || (SELECT min(name) FROM jsonb_object_keys(spec - known) name),
                             'unknown field');
    END IF;
  END $$;

  -- Microseconds of an ISO 8601 duration of days, hours, minutes and seconds. NULL: it is none, or
  -- negative.
  CREATE FUNCTION jobmill_iso_micros(value text)
  RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    part text[] := regexp_match(upper(value), '^([+-]?)P(?:([+-]?[0-9]{1,18})D)?'
      '(?:(T)(?:([+-]?[0-9]{1,18})H)?(?:([+-]?[0-9]{1,18})M)?'
      '(?:([+-]?)([0-9]{1,18})(?:[.,]([0-9]{0,9}))?S)?)?$');
    micros numeric;
  BEGIN
    IF part IS NULL OR coalesce(part[2], part[3]) IS NULL THEN RETURN NULL; END IF;
    IF part[3] IS NOT NULL AND coalesce(part[4], part[5], part[7]) IS NULL THEN RETURN NULL; END IF;
    micros := coalesce(part[7], '0')::numeric * 1000000
              + rpad(left(coalesce(part[8], ''), 6), 6, '0')::numeric;
    IF part[6] = '-' THEN micros := -micros; END IF;
    micros := micros + coalesce(part[2], '0')::numeric * 86400000000
              + coalesce(part[4], '0')::numeric * 3600000000
              + coalesce(part[5], '0')::numeric * 60000000;
    IF part[1] = '-' THEN micros := -micros; END IF;
    RETURN CASE WHEN micros BETWEEN 0 AND 9000000000000000000 THEN micros END;
  END $$;

  CREATE FUNCTION jobmill_iso(spec jsonb, at text, field text)
  RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    value text := jobmill_text(spec, at, field, 1000);
    micros numeric := jobmill_iso_micros(value);
  BEGIN
    IF value IS NOT NULL AND micros IS NULL THEN
      PERFORM jobmill_refuse(at || field,
                             'expected an ISO 8601 duration such as PT2M, not negative');
    END IF;
    RETURN micros;
  END $$;

  CREATE FUNCTION jobmill_micros(value jsonb, field text)
  RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    given text := jsonb_typeof(value);
    micros numeric;
  BEGIN
    IF given IS NULL OR given = 'null' THEN
      RETURN NULL;
    ELSIF given = 'string' THEN
      micros := jobmill_iso_micros(value #>> '{}');
    ELSIF given = 'number' THEN
      IF value::numeric BETWEEN 0 AND 1000000000 THEN
        micros := round(value::numeric * 1000000);
      END IF;
    END IF;
    IF micros IS NULL THEN
      PERFORM jobmill_refuse(field, 'expected seconds, or an ISO 8601 duration such as PT5M, '
                                    'not negative');
    END IF;
    RETURN micros;
  END $$;

  CREATE FUNCTION jobmill_instant(spec jsonb, at text, field text)
  RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
  DECLARE
    value text := jobmill_text(spec, at, field, 1000);
  BEGIN
    IF value IS NULL THEN RETURN NULL; END IF;
    IF upper(value) ~ ('^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}'
                       '([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$') THEN
      BEGIN
        RETURN regexp_replace(upper(value), '([.][0-9]{6})[0-9]+', '\1')::timestamptz;
      EXCEPTION WHEN data_exception THEN
        NULL;  -- the thirtieth of February
      END;
    END IF;
    PERFORM jobmill_refuse(at || field,
                           'expected an RFC 3339 instant such as 2025-01-01T00:00:00Z');
  END $$;

  -- --- writing texts ---------------------------------------------------------------------------

  -- Without the blanks between its parts.
  CREATE FUNCTION jobmill_compact(value jsonb)
  RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT regexp_replace(value::text, '("(?:[^"\\]|\\.)*")|\s+', '\1', 'g') $$;

  CREATE FUNCTION jobmill_seconds_text(micros numeric)
  RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT trim_scale(micros / 1000000)::text $$;

  CREATE FUNCTION jobmill_iso_text(micros numeric)
  RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    hours numeric := div(micros, 3600000000);
    minutes numeric := div(micros, 60000000) % 60;
    rest numeric := micros % 60000000;
    words text := 'PT';
  BEGIN
    IF hours <> 0 THEN words := words || hours || 'H'; END IF;
    IF minutes <> 0 THEN words := words || minutes || 'M'; END IF;
    IF rest <> 0 OR words = 'PT' THEN words := words || jobmill_seconds_text(rest) || 'S'; END IF;
    RETURN words;
  END $$;

  -- Three digits of a fraction, or six, or none.
  CREATE FUNCTION jobmill_instant_text(value timestamptz)
  RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT to_char(value AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'
      || CASE WHEN extract(microseconds FROM value) % 1000000 = 0 THEN ''
              WHEN extract(microseconds FROM value) % 1000 = 0 THEN '.MS' ELSE '.US' END) || 'Z' $$;

  -- A policy of retries.
  CREATE FUNCTION jobmill_retry_text(retry jsonb, at text)
  RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    delays jsonb := jobmill_member(retry, at, 'delays', 'array');
    base numeric := jobmill_micros(retry -> 'base', at || 'base');
    factor bigint := jobmill_integer(retry, at, 'factor', 1, 9223372036854775807);
    cap numeric := jobmill_micros(retry -> 'cap', at || 'cap');
    jitter numeric := jobmill_member(retry, at, 'jitter', 'number')::numeric;
    words text;
  BEGIN
    PERFORM jobmill_check_names(retry, at, '{delays,base,factor,cap,jitter}');
    IF jitter NOT BETWEEN 0 AND 1 THEN
      PERFORM jobmill_refuse(at || 'jitter', 'expected 0 to 1');
    END IF;
    IF delays IS NOT NULL THEN
      IF jsonb_array_length(delays) NOT BETWEEN 1 AND 1000 THEN
        PERFORM jobmill_refuse(at || 'delays', 'expected 1 to 1000 of them');
      ELSIF coalesce(base, factor, cap) IS NOT NULL THEN
        PERFORM jobmill_refuse(at || 'delays', 'excludes base, factor and cap');
      END IF;
      words := (SELECT string_agg(jobmill_seconds_text(jobmill_micros(delay, at || 'delays')), ','
                                  ORDER BY n)
                FROM jsonb_array_elements(delays) WITH ORDINALITY d(delay, n));
      words := '{"delays":[' || words || ']';
    ELSE
      -- A base alone is the factor, too: 2 means 2, 4, 8 ...
      IF factor IS NULL AND base % 1000000 <> 0 THEN
        PERFORM jobmill_refuse(at || 'factor', 'is required when base is no whole number');
      END IF;
      words := '{"base":' || jobmill_seconds_text(coalesce(base, 3000000)) || ',"factor":'
               || coalesce(factor, CASE WHEN base > 0 THEN (base / 1000000)::bigint
                                        WHEN base = 0 THEN 1 ELSE 3 END);
      IF cap <> 86400000000 THEN words := words || ',"cap":' || jobmill_seconds_text(cap); END IF;
    END IF;
    IF jitter <> 0 THEN words := words || ',"jitter":' || trim_scale(jitter); END IF;
    RETURN words || '}';
  END $$;

  CREATE FUNCTION jobmill_trace_text(trace jsonb, at text)
  RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    parent text := jobmill_text(trace, at, 'traceparent', 1000);
    state text := jobmill_text(trace, at, 'tracestate', 512);
  BEGIN
    PERFORM jobmill_check_names(trace, at, '{traceparent,tracestate}');
    IF parent IS NULL THEN PERFORM jobmill_refuse(at || 'traceparent', 'is required'); END IF;
    IF parent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
       OR parent ~ '^00-(0{32}|[0-9a-f]{32}-0{16}-)' THEN
      PERFORM jobmill_refuse(at || 'traceparent',
                             'expected 00-<32 hex digits>-<16 hex digits>-<2 hex digits>');
    END IF;
    RETURN '{"traceparent":"' || parent || '"'
           || CASE WHEN state <> '' THEN ',"tracestate":' || to_json(state)::text ELSE '' END || '}';
  END $$;

  -- What only few jobs say.
  CREATE FUNCTION jobmill_extra_text(spec jsonb, at text)
  RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    retry jsonb := jobmill_member(spec, at, 'retry', 'object');
    timeout numeric := jobmill_micros(spec -> 'timeout_s', at || 'timeout_s');
    silence numeric := jobmill_micros(spec -> 'progress_timeout_s', at || 'progress_timeout_s');
    trace jsonb := jobmill_member(spec, at, 'trace', 'object');
    ttl numeric := jobmill_iso(spec, at, 'result_ttl');
    words text := concat_ws(',',
      '"retry":' || jobmill_retry_text(retry, at || 'retry.'),
      '"timeout_s":' || jobmill_seconds_text(nullif(timeout, 0)),
      '"progress_timeout_s":' || jobmill_seconds_text(nullif(silence, 0)),
      '"trace":' || jobmill_trace_text(trace, at || 'trace.'),
      '"result_ttl":"' || jobmill_iso_text(ttl) || '"');
  BEGIN
    RETURN CASE WHEN words = '' THEN '' ELSE '{' || words || '}' END;
  END $$;
  ALTER FUNCTION jobmill_retry_text STRICT;
  ALTER FUNCTION jobmill_trace_text STRICT;
  ALTER FUNCTION jobmill_iso_text STRICT;

  -- --- names and labels ------------------------------------------------------------------------

  -- {0} or %0: the argument; {meta.key} or %X{key}: a value of the metadata. What names nothing
  -- stays as it is, and what was filled in is not looked at again.
  CREATE FUNCTION jobmill_fill(pattern text, args jsonb, meta jsonb)
  RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    rest text := pattern;
    filled text := '';
    plain text;
    size integer;  -- of the placeholder, or of the text that is none
    stop integer;
    name text;
    value jsonb;
  BEGIN
    LOOP
      plain := substring(rest FROM '^[^{%]*');
      filled := filled || plain;
      rest := substr(rest, length(plain) + 1);
      EXIT WHEN rest = '';
      value := NULL;
      size := CASE WHEN rest LIKE '{meta.%' THEN 6 WHEN rest LIKE '\%X{%' THEN 3 ELSE 1 END;
      IF size > 1 OR rest LIKE '{%' THEN
        stop := strpos(substr(rest, size + 1), '}');
        name := substr(rest, size + 1, greatest(stop - 1, 0));
      ELSE
        name := substring(rest FROM '^%([0-9]+)');
        stop := length(name);
      END IF;
      IF stop > 0 AND size > 1 THEN
        value := meta -> name;
      ELSIF stop > 0 AND name ~ '^[0-9]{1,9}$' THEN
        value := args -> name::integer;
      END IF;
      IF value IS NULL THEN
        filled := filled || left(rest, size);
      ELSE
        size := size + stop;
        filled := filled || CASE jsonb_typeof(value) WHEN 'string' THEN value #>> '{}'
                                                     ELSE jobmill_compact(value) END;
      END IF;
      rest := substr(rest, size + 1);
    END LOOP;
    RETURN filled;
  END $$;

  CREATE FUNCTION jobmill_shortened(value text, bytes integer)
  RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN
    value := left(value, bytes);
    WHILE octet_length(value) > bytes LOOP
      value := left(value, -greatest(1, (octet_length(value) - bytes) / 4));
    END LOOP;
    RETURN value;
  END $$;

  CREATE FUNCTION jobmill_check_labels(labels text[], at text)
  RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    wrong text;
  BEGIN
    SELECT CASE WHEN count(*) > 3 THEN 'more than 3'
                WHEN bool_or(label = '') THEN 'must not be empty'
                WHEN max(length(label)) > 45 THEN 'longer than 45 characters'
                WHEN bool_or(label LIKE '%' || E'\x1f' || '%') THEN 'holds U+001F'
                WHEN count(DISTINCT label) < count(*) THEN 'must be distinct' END
      INTO wrong FROM unnest(labels) label;
    IF wrong IS NOT NULL THEN PERFORM jobmill_refuse(at || 'labels', wrong); END IF;
  END $$;

  -- Filled; NULL: there are none.
  CREATE FUNCTION jobmill_labels(spec jsonb, at text, args jsonb, meta jsonb)
  RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
  DECLARE
    list jsonb := jobmill_member(spec, at, 'labels', 'array');
    label jsonb;
    labels text[];
  BEGIN
    FOR label IN SELECT * FROM jsonb_array_elements(list) LOOP
      IF jsonb_typeof(label) <> 'string' THEN
        PERFORM jobmill_refuse(at || 'labels',
                               format('expected strings, got %s', jsonb_typeof(label)));
      END IF;
      labels := labels || jobmill_fill(label #>> '{}', args, meta);
    END LOOP;
    RETURN labels;
  END $$;

  CREATE FUNCTION jobmill_indexed(labels text[], i bigint)
  RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT string_to_array(replace(array_to_string(labels, E'\x1f'), '{i}', i::text), E'\x1f') $$;

  -- --- arguments -------------------------------------------------------------------------------

  -- What it can hold, all readers must bear: a request may be nested 100 deep, three of which are
  -- its own.
  CREATE FUNCTION jobmill_check_depth(value jsonb, written text, field text)
  RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN
    IF length(written) - length(translate(written, '[{', '')) > 97
       AND jsonb_path_exists(value,
             'strict $.**{97} ? (@.type() == "array" || @.type() == "object")') THEN
      PERFORM jobmill_refuse(field, 'nested deeper than 97');
    END IF;
  END $$;

  -- With another text for {i} in its string values; names of members are no values.
  CREATE FUNCTION jobmill_marked(value jsonb, mark text)
  RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN
    RETURN CASE jsonb_typeof(value)
      WHEN 'string' THEN to_jsonb(replace(value #>> '{}', '{i}', mark))
      WHEN 'array' THEN
        (SELECT coalesce(jsonb_agg(jobmill_marked(item, mark) ORDER BY n), '[]')
         FROM jsonb_array_elements(value) WITH ORDINALITY a(item, n))
      WHEN 'object' THEN
        (SELECT coalesce(jsonb_object_agg(key, jobmill_marked(item, mark)), '{}')
         FROM jsonb_each(value) o(key, item))
      ELSE value END;
  END $$;

  -- --- storing ---------------------------------------------------------------------------------

  -- A lane that exists is only read. Who makes one that another open transaction makes waits for it.
  CREATE FUNCTION jobmill_lane_of(queue_name text, kind_name text, rank integer)
  RETURNS integer LANGUAGE plpgsql AS $$
  DECLARE
    lane integer;
  BEGIN
    LOOP
      SELECT id INTO lane FROM jobmill_lane
        WHERE queue = queue_name AND kind = kind_name AND priority = rank;
      IF FOUND THEN RETURN lane; END IF;
      INSERT INTO jobmill_lane (queue, kind, priority) VALUES (queue_name, kind_name, rank)
        ON CONFLICT DO NOTHING RETURNING id INTO lane;
      IF FOUND THEN RETURN lane; END IF;
    END LOOP;
  END $$;

  -- How many retries the servers would give it; they write their settings when they start.
  CREATE FUNCTION jobmill_retries_of(kind_name text)
  RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT value FROM jobmill_setting WHERE name = 'retries of ' || kind_name),
                    (SELECT value FROM jobmill_setting WHERE name = 'retries'), '10')::integer $$;

  -- The first of n consecutive numbers of this transaction, which says them to nobody else: a
  -- variable that ends with the transaction, or the savepoint, as the jobs do.
  CREATE FUNCTION jobmill_numbers(n bigint)
  RETURNS bigint LANGUAGE plpgsql AS $$
  DECLARE
    used bigint := coalesce(nullif(current_setting('jobmill.used', true), ''), '0')::bigint;
  BEGIN
    PERFORM set_config('jobmill.used', (used + n)::text, true);
    RETURN used;
  END $$;

  -- UUIDv7.
  CREATE FUNCTION jobmill_new_id(at timestamptz)
  RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(
      uuid_send(gen_random_uuid())
      PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
      52, 1), 53, 1), 'hex')::uuid $$;

  CREATE FUNCTION jobmill_same(job uuid, kind_name text, version integer, job_args jsonb,
                               job_meta jsonb)
  RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    RETURN (SELECT l.kind = kind_name AND j.v = version AND j.args::jsonb = job_args
                   AND coalesce(nullif(j.meta, ''), '{}')::jsonb = coalesce(job_meta, '{}')
            FROM jobmill_job j JOIN jobmill_lane l ON l.id = j.lane WHERE j.id = job);
  EXCEPTION WHEN data_exception THEN
    RETURN false;  -- it holds what jsonb cannot
  END $$;

  -- Stores one spec: one job, or `count` of them. An existing job of the same id is left as it is.
  CREATE FUNCTION jobmill_put(spec jsonb, at text, now timestamptz,
                              OUT ids uuid[], OUT lane integer, OUT later boolean, OUT made bigint)
  LANGUAGE plpgsql AS $$
  #variable_conflict use_variable
  DECLARE
    id text := jobmill_text(spec, at, 'id', 255);
    kind text := jobmill_text(spec, at, 'kind', 255);
    v integer := coalesce(jobmill_integer(spec, at, 'v', 1, 2147483647), 1);
    list jsonb := jobmill_member(spec, at, 'args', 'array');
    args jsonb := coalesce(jobmill_member(spec, at, 'named', 'object'), list, '[]');
    meta jsonb := jobmill_member(spec, at, 'meta', 'object');
    name text := coalesce(jobmill_text(spec, at, 'name', 1024), '');
    queue text := coalesce(jobmill_text(spec, at, 'queue', 128), 'default');
    priority integer := coalesce(jobmill_integer(spec, at, 'priority', 0, 9), 0);
    labels text[] := jobmill_labels(spec, at, args, meta);
    retries integer := jobmill_integer(spec, at, 'retries', 0, 1000);
    extra text := jobmill_extra_text(spec, at);
    max_crashes integer := coalesce(jobmill_integer(spec, at, 'max_crashes', 1, 1000), 3);
    created_by text := coalesce(jobmill_text(spec, at, 'created_by', 255), '');
    run_at timestamptz := jobmill_instant(spec, at, 'run_at');
    delay numeric := jobmill_iso(spec, at, 'delay');
    count bigint := jobmill_integer(spec, at, 'count', 1, 1000000);
    args_text text := jobmill_compact(args);
    meta_text text := coalesce(jobmill_compact(meta), '');
    max_attempts integer;
    mark text;
    used bigint;
  BEGIN
    PERFORM jobmill_check_names(spec, at, '{id,kind,v,args,named,meta,name,queue,priority,labels,'
      'retries,retry,timeout_s,progress_timeout_s,trace,result_ttl,max_crashes,created_by,run_at,'
      'delay,count}');
    IF kind IS NULL THEN PERFORM jobmill_refuse(at || 'kind', 'is required'); END IF;
    IF kind = '' THEN PERFORM jobmill_refuse(at || 'kind', 'must not be empty'); END IF;
    IF queue = '' THEN PERFORM jobmill_refuse(at || 'queue', 'must not be empty'); END IF;
    IF list IS NOT NULL AND spec -> 'named' <> 'null' THEN
      PERFORM jobmill_refuse(at || 'named', 'excludes args');
    ELSIF retries IS NOT NULL AND spec -> 'retry' <> 'null' THEN
      PERFORM jobmill_refuse(at || 'retry', 'excludes retries');
    ELSIF run_at IS NOT NULL AND delay IS NOT NULL THEN
      PERFORM jobmill_refuse(at || 'delay', 'excludes run_at');
    ELSIF count IS NOT NULL AND id IS NOT NULL THEN
      PERFORM jobmill_refuse(at || 'count', 'excludes id');
    ELSIF lower(id) !~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
      PERFORM jobmill_refuse(at || 'id', 'expected a UUID');
    ELSIF delay > 200000000000000000 THEN  -- 6,000 years
      PERFORM jobmill_refuse(at || 'delay', 'is too long');
    ELSIF octet_length(args_text) + octet_length(meta_text) > 1048576 THEN
      PERFORM jobmill_refuse(at || 'args', format('payload_too_large: %s bytes, at most 1048576',
        octet_length(args_text) + octet_length(meta_text)), '54000');
    END IF;
    PERFORM jobmill_check_depth(args, args_text, at || 'args');
    PERFORM jobmill_check_depth(meta, meta_text, at || 'meta');
    name := jobmill_fill(name, args, meta);
    run_at := coalesce(run_at, now + (delay || ' microseconds')::interval);
    later := coalesce(run_at > now, false);
    IF count IS NULL THEN
      PERFORM jobmill_check_labels(labels, at);
      ids := ARRAY[coalesce(id::uuid, jobmill_new_id(now))];
    ELSE
      PERFORM jobmill_check_labels(jobmill_indexed(labels, 0), at);
      PERFORM jobmill_check_labels(jobmill_indexed(labels, count - 1), at);  -- the longest
      ids := ARRAY(SELECT jobmill_new_id(now) FROM generate_series(1, count));
      IF args_text LIKE '%{i}%' THEN
        mark := '{i:' || gen_random_uuid() || '}';
        args_text := jobmill_compact(jobmill_marked(args, mark));
      END IF;
    END IF;

    lane := jobmill_lane_of(queue, kind, priority);
    max_attempts := 1 + coalesce(jsonb_array_length(nullif(spec #> '{retry,delays}', 'null')),
                                 retries, jobmill_retries_of(kind));
    INSERT INTO jobmill_job (id, lane, v, retries, max_attempts, max_crashes, created_at,
                             first_state, first_event, name, labels, created_by, meta, extra, args)
    SELECT job, lane, v, retries, max_attempts, max_crashes, now, CASE WHEN later THEN 1 ELSE 2 END,
           CASE WHEN later THEN '{"scheduledAt":"' || jobmill_instant_text(run_at) || '"}'
                ELSE '{}' END,
           jobmill_shortened(CASE WHEN count IS NULL THEN name
                                  ELSE replace(name, '{i}', (n - 1)::text) END, 1024),
           CASE WHEN count IS NULL THEN labels ELSE jobmill_indexed(labels, n - 1) END,
           created_by, meta_text, extra,
           CASE WHEN mark IS NULL THEN args_text ELSE replace(args_text, mark, (n - 1)::text) END
    FROM unnest(ids) WITH ORDINALITY u(job, n)
    ON CONFLICT ON CONSTRAINT jobmill_job_pkey DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    IF made = 0 THEN
      IF NOT coalesce(jobmill_same(ids[1], kind, v, args, meta), false) THEN
        PERFORM jobmill_refuse(at || 'id', format(
          'idempotency_conflict: job %s exists with another payload', ids[1]), '23505');
      END IF;
    ELSIF later THEN
      INSERT INTO jobmill_due (id, lane, run_at, since, version, attempt, failures, crashes)
      SELECT job, lane, run_at, now, 1, 0, 0, 0 FROM unnest(ids) job;
    ELSE
      used := jobmill_numbers(made);
      INSERT INTO jobmill_hot (id, lane, place, since, version, attempt, failures, crashes, state)
      SELECT job, lane, (SELECT jobmill_first_place()) + ((used + n) & 1048575), now, 1, 0, 0, 0, 2
      FROM unnest(ids) WITH ORDINALITY u(job, n);
    END IF;
  END $$;

  -- What the others hear at the commit: lanes with new jobs ("a": too many to tell), new instants.
  CREATE FUNCTION jobmill_tell(ready integer[], later boolean)
  RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    what text := concat_ws(' ',
      CASE WHEN cardinality(ready) > 500 THEN 'a'
           WHEN cardinality(ready) > 0 THEN 'r' || array_to_string(ready, ',') END,
      CASE WHEN later THEN 'd' END);
  BEGIN
    IF what <> '' THEN PERFORM jobmill_notify(what); END IF;
  END $$;

  -- The ids in the order of the specs; of a spec with `count` the first ten. `path` stands before
  -- the fields in messages: its %s is the index of the spec.
  CREATE FUNCTION jobmill_put_all(jobs jsonb, path text)
  RETURNS SETOF uuid LANGUAGE plpgsql AS $$
  #variable_conflict use_variable
  DECLARE
    now timestamptz := jobmill_now();
    spec jsonb;
    i integer := 0;
    job record;
    lanes integer[] := '{}';
    ready bigint[] := '{}';
    later bigint[] := '{}';
    total bigint := 0;
    shard bigint;
  BEGIN
    FOR spec IN SELECT * FROM jsonb_array_elements(jobs) LOOP
      IF jsonb_typeof(spec) <> 'object' THEN
        PERFORM jobmill_refuse(format('jobs[%s]', i), 'expected an object');
      END IF;
      SELECT * INTO job FROM jobmill_put(spec, format(path, i), now);
      total := total + job.made;
      IF total > 1000000 THEN
        PERFORM jobmill_refuse(format('jobs[%s].count', i), 'more than 1000000 in all', '54000');
      END IF;
      lanes := lanes || job.lane;
      ready := ready || CASE WHEN job.later THEN 0 ELSE job.made END;
      later := later || CASE WHEN job.later THEN job.made ELSE 0 END;
      i := i + 1;
      RETURN QUERY SELECT * FROM unnest(job.ids) LIMIT 10;
    END LOOP;
    IF total = 0 THEN RETURN; END IF;
    -- A shard of this call's own, negative as no process's is: the leading server adds it to the
    -- others. Two calls have one only when the numbers of a transaction begin anew.
    shard := -(jobmill_first_place() + (jobmill_numbers(1) & 1048575));
    INSERT INTO jobmill_count AS c (lane, shard, enqueued, scheduled)
    SELECT u.lane, shard, sum(u.enqueued), sum(u.scheduled)
    FROM unnest(lanes, ready, later) u(lane, enqueued, scheduled)
    GROUP BY u.lane HAVING sum(u.enqueued) + sum(u.scheduled) > 0
    ON CONFLICT ON CONSTRAINT jobmill_count_pkey
      DO UPDATE SET enqueued = c.enqueued + excluded.enqueued,
                    scheduled = c.scheduled + excluded.scheduled;
    PERFORM jobmill_tell(
      ARRAY(SELECT DISTINCT u.lane FROM unnest(lanes, ready) u(lane, n) WHERE u.n > 0 ORDER BY 1),
      EXISTS (SELECT FROM unnest(later) n WHERE n > 0));
  END $$;

  -- --- what users call -------------------------------------------------------------------------

  CREATE FUNCTION jobmill_enqueue(kind text, args jsonb DEFAULT '[]', options jsonb DEFAULT '{}')
  RETURNS uuid LANGUAGE plpgsql AS $$
  DECLARE
    spec jsonb := coalesce(options, '{}');
    given text := jsonb_typeof(coalesce(args, '[]'));
  BEGIN
    IF jsonb_typeof(spec) <> 'object' THEN
      PERFORM jobmill_refuse('options', 'expected an object');
    ELSIF spec ?| '{kind,args,named}' THEN
      PERFORM jobmill_refuse('options', 'kind and args are parameters of their own');
    ELSIF spec ? 'count' THEN
      PERFORM jobmill_refuse('count', 'is for jobmill_enqueue_many');
    ELSIF given NOT IN ('array', 'object') THEN
      PERFORM jobmill_refuse('args', 'expected an array or an object, got ' || given);
    END IF;
    spec := spec || jsonb_build_object('kind', kind,
                                       CASE given WHEN 'array' THEN 'args' ELSE 'named' END,
                                       coalesce(args, '[]'));
    RETURN (SELECT * FROM jobmill_put_all(jsonb_build_array(spec), ''));
  END $$;

  CREATE FUNCTION jobmill_enqueue_many(jobs jsonb)
  RETURNS SETOF uuid LANGUAGE plpgsql AS $$
  BEGIN
    IF jsonb_typeof(jobs) IS DISTINCT FROM 'array' THEN
      PERFORM jobmill_refuse('jobs', 'expected an array of specs');
    END IF;
    RETURN QUERY SELECT * FROM jobmill_put_all(jobs, 'jobs[%s].');
  END $$;

  -- With the rights of their owner and in this schema; whoever shall call them is told so by name.
  DO $$
  DECLARE
    entry text;
  BEGIN
    FOREACH entry IN ARRAY '{"jobmill_enqueue(text, jsonb, jsonb)",jobmill_enqueue_many(jsonb)}'::text[]
    LOOP
      EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path TO %I, pg_temp', entry,
                     current_schema());
      EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', entry);
    END LOOP;
  END $$;
)sql"};

}  // namespace jobmill::postgres
