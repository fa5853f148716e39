-- Change one account from outside of a lease.
--
-- ARGV: account, verb, then by verb:
--   upsert      place in the roster, revision, max concurrency, min interval ms, requests per minute,
--               enabled 0/1, egress
--   register    lanes joined by newlines, offered models as JSON, the lane of the model behind `default`
--   quarantine  what a probe or an attempt to open a session found; revision of the cookies that it was found with ('' for
--               whatever is in use)
--   reinstate, clear, remove, disable, enable
--   probed      outcome: `well` ends the cooldown of an account that was unstable or under suspicion;
--               1 where it was in quarantine before and stays there
--   rotated     outcome: `ok` or what else came of it
--   cookies     newer cookies than the roster's are in use from now on
--   park        ms, reason: like a release with the same effect
--   unpark      '', '', threshold, base ms, cap ms: a probe cleared the suspicion; counted as unstable
-- Returns the state, or '' where there is no such account.
local id, verb = ARGV[1], ARGV[2]
local a = load(id)

local function fresh_cookies()
  put(a, 'ca', NOW)
  put(a, 'pf', 0)
  put(a, 'ra', 0)
  put(a, 'ro', '')
  put(a, 'rf', 0)
end

if verb == 'upsert' then
  if not a then
    call('HSET', P .. 'a:' .. id, 'mc', 1)
    a = load(id)
    put(a, 'seq', call('INCR', P .. 'uses'))
    call('HINCRBY', P .. 'pace', 'behind', 1)
    put(a, 'inf', 0)
    put(a, 'gen', 1)
  end
  call('ZADD', P .. 'accounts', ARGV[3], id)
  if call('HGET', P .. 'a:' .. id, 'rev') ~= ARGV[4] then fresh_cookies() end
  put(a, 'rev', ARGV[4])
  put(a, 'mc', tonumber(ARGV[5]))
  put(a, 'mi', tonumber(ARGV[6]))
  put(a, 'rpm', tonumber(ARGV[7]))
  put(a, 'on', tonumber(ARGV[8]))
  if a.rpm == 0 then call('DEL', P .. 'recent:' .. id) end
  if a.eg ~= ARGV[9] then
    if a.eg ~= '' then call('SREM', P .. 'egress:' .. a.eg, id) end
    put(a, 'eg', ARGV[9])
  end
  call('SADD', P .. 'egress:' .. a.eg, id)
  if a.dr == 1 then put(a, 'dr', 0) end
elseif not a then
  return ''
elseif verb == 'register' then
  if a.lanes ~= ARGV[3] then
    drop(a)
    put(a, 'lanes', ARGV[3])
    a.at = '?' -- differs from every placement, so that `place` writes the field
  end
  put(a, 'of', ARGV[4])
  put(a, 'dl', ARGV[5])
  put(a, 'op', 1)
  put(a, 'pv', NOW)
  forget_missing_models(a)
elseif verb == 'quarantine' then
  local current = ARGV[4] == '' or ARGV[4] == call('HGET', P .. 'a:' .. id, 'rev')
  if current and a.q ~= ARGV[3] then
    if a.q == '' then
      put(a, 'qs', NOW)
      put(a, 'pf', 0)
    end
    put(a, 'q', ARGV[3])
    put(a, 'pb', NOW)
    put(a, 'po', ARGV[3])
  end
elseif verb == 'reinstate' then
  if a.q ~= '' then
    put(a, 'q', '')
    put(a, 'gen', a.gen + 1)
    put(a, 'ho', 1)
    put(a, 'seq', call('INCR', P .. 'uses'))
    call('HINCRBY', P .. 'pace', 'behind', 1)
    put(a, 'cu', 0)
    put(a, 'cf', 0)
    put(a, 'tl', 0)
    forget_missing_models(a)
    forgive(a)
    call('ZREM', P .. 'ejected', id)
    a.used = true
    call('PUBLISH', P .. 'wake' .. CHANNEL, 'reinstated ' .. id)
  end
elseif verb == 'clear' then
  put(a, 'cu', 0)
  put(a, 'lc', '')
  put(a, 'cf', 0)
  put(a, 'tl', 0)
  put(a, 'ej', 0)
  forgive(a)
  call('ZREM', P .. 'ejected', id)
elseif verb == 'disable' then
  put(a, 'off', 1)
elseif verb == 'enable' then
  put(a, 'off', 0)
elseif verb == 'remove' then
  put(a, 'dr', 1)
  if a.inf == 0 then
    forget(a)
    return 'gone'
  end
elseif verb == 'park' then
  cool(a, tonumber(ARGV[3]), ARGV[4])
elseif verb == 'unpark' then
  if a.cr == 'suspect' and a.cu > NOW then
    put(a, 'cu', 0)
    apply(a, 'unstable', '', 'unstable', 0, true)
  end
elseif verb == 'probed' then
  put(a, 'pb', NOW)
  put(a, 'po', ARGV[3])
  if ARGV[4] == '1' then call('HINCRBY', P .. 'a:' .. id, 'pf', 1) end
  if ARGV[3] == 'well' then
    put(a, 'pv', NOW)
    put(a, 'pf', 0)
    -- A status call proves nothing about a 429 or a blocked address: those run their time.
    if a.cu > NOW and (a.cr == 'unstable' or a.cr == 'suspect') then
      put(a, 'cu', 0)
      put(a, 'ho', 1)
      call('ZREM', P .. 'ejected', id)
    end
  end
elseif verb == 'rotated' then
  put(a, 'ra', NOW)
  put(a, 'ro', ARGV[3])
  if ARGV[3] == 'ok' then
    put(a, 'ca', NOW)
    put(a, 'rf', 0)
  else
    call('HINCRBY', P .. 'a:' .. id, 'rf', 1)
  end
elseif verb == 'cookies' then
  fresh_cookies()
else
  return redis.error_reply('ERR unknown verb ' .. verb)
end
place(a)
wake()
return a.st
