-- Change one account from outside of a lease.
--
-- ARGV: account, verb, then by verb:
--   upsert      place in the roster, revision, max concurrency, min interval ms, requests per minute,
--               enabled 0/1, egress
--   register    lanes joined by newlines, offered models as JSON, the lane of the model behind `default`
--   quarantine  reason
--   reinstate, clear, remove, disable, enable
--   park        ms, reason: like a release with the same effect
--   unpark      '', '', threshold, base ms, cap ms: a probe cleared the suspicion; counted as unstable
-- Returns the state, or '' where there is no such account.
local id, verb = ARGV[1], ARGV[2]
local a = load(id)
if verb == 'upsert' then
  if not a then
    call('HSET', P .. 'a:' .. id, 'mc', 1)
    a = load(id)
    put(a, 'seq', call('INCR', P .. 'uses'))
    put(a, 'inf', 0)
    put(a, 'gen', 1)
  end
  call('ZADD', P .. 'accounts', ARGV[3], id)
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
elseif verb == 'quarantine' then
  if a.q ~= ARGV[3] then
    put(a, 'q', ARGV[3])
    put(a, 'qs', NOW)
  end
elseif verb == 'reinstate' then
  if a.q ~= '' then
    put(a, 'q', '')
    put(a, 'gen', a.gen + 1)
    put(a, 'ho', 1)
    put(a, 'seq', call('INCR', P .. 'uses'))
    put(a, 'cu', 0)
    put(a, 'cf', 0)
    put(a, 'tl', 0)
    forgive(a)
    call('ZREM', P .. 'ejected', id)
    a.used = true
    call('PUBLISH', P .. 'wake', 'reinstated ' .. id)
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
else
  return redis.error_reply('ERR unknown verb ' .. verb)
end
place(a)
wake()
return a.st
