-- Lease the least recently used account that can serve now one of the lanes asked for.
--
-- ARGV: replica, lease, lease's life in ms, soft, jitter in [0, 1), 1 to be woken, the only account that is wanted
--       ('' for any), number of lanes, the lanes in order of preference, the accounts to leave out.
-- soft 1: where only cooling accounts are left and the first to return was ejected as unstable, use it.
-- soft 2: use any account that cools for instability or a 429, and do not wait for busy ones.
-- Returns {1, account, lane, in flight} or {0, verdict, ms, reason}; ms is -1 where no time is known.
-- Verdicts: wait (all cool or are spaced, the first until ms), busy (some are full, or the first to return is being
-- probed), tried (only accounts that were left out could serve; ms knows nothing of those that are being probed), none
-- (reason `lost`: the store has no epoch, see beat). For one account alone: wait
-- (spaced until ms), busy (full), none (reason `only`: it cools, fails, or serves none of the lanes); nobody is
-- searched, and it takes its place at the tail of the order as after any other use.
local replica, lease, life = ARGV[1], ARGV[2], tonumber(ARGV[3])
local soft, jitter, be_woken, only, n = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1', ARGV[7], tonumber(ARGV[8])
local leases = P .. 'leases:' .. replica

-- The client repeats a command whose answer was lost; the same lease is the same pick.
local held = call('HGET', leases, lease)
if held then
  local id, lane = string.match(held, '^([^\n]+)\n([^\n]+)')
  return { 1, id, lane, tonumber(call('HGET', P .. 'a:' .. id, 'inf')) or 0 }
end

call('ZADD', P .. 'replicas', NOW + life, replica)
reap()

for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'shunned', '-inf', NOW, 'LIMIT', 0, PROMOTE)) do
  local a = load(id)
  if a then
    forgive(a)
    place(a)
  else
    call('ZREM', P .. 'shunned', id)
  end
end

local lanes, tried, tries = {}, {}, #ARGV - 8 - n
for i = 1, n do lanes[i] = ARGV[8 + i] end
for i = 9 + n, #ARGV do tried[ARGV[i]] = true end
for i = 1, n do
  promote(P .. 'busy:' .. lanes[i])
  promote(P .. 'cool:' .. lanes[i])
end

-- The member with the lowest score over the lanes' sets that was not tried, and its first lane.
local function first(set)
  local id, score, lane
  for i = 1, n do
    local heads = call('ZRANGE', P .. set .. lanes[i], 0, tries, 'WITHSCORES')
    for k = 1, #heads, 2 do
      if not tried[heads[k]] then
        local s = tonumber(heads[k + 1]) or math.huge
        if not id or s < score then id, score, lane = heads[k], s, lanes[i] end
        break
      end
    end
  end
  return id, score, lane
end

local function take(a, lane)
  put(a, 'seq', call('INCR', P .. 'uses'))
  put(a, 'inf', a.inf + 1)
  put(a, 'lp', NOW)
  a.used = true
  local next_pick = NOW
  if a.mi > 0 then next_pick = NOW + math.ceil(a.mi * (1 + jitter / 10)) end
  if a.rpm > 0 then
    local recent = P .. 'recent:' .. a.id
    call('LPUSH', recent, NOW)
    call('LTRIM', recent, 0, a.rpm - 1)
    if call('LLEN', recent) >= a.rpm then
      next_pick = math.max(next_pick, tonumber(call('LINDEX', recent, -1)) + 60000)
    end
  end
  if next_pick > NOW then put(a, 'np', next_pick) end
  call('HSET', leases, lease, a.id .. '\n' .. lane .. '\n' .. a.gen)
  place(a)
  return { 1, a.id, lane, a.inf }
end

if only ~= '' then
  local a = load(only)
  if not a then return { 0, 'none', -1, call('EXISTS', P .. 'epoch') == 1 and 'only' or 'lost' } end
  place(a) -- its time may have come, though `promote` has not got to it yet
  local free_at
  for i = 1, n do
    if call('ZSCORE', P .. 'ready:' .. lanes[i], only) then return take(a, lanes[i]) end
    local score = call('ZSCORE', P .. 'busy:' .. lanes[i], only)
    if score then free_at = tonumber(score) or math.huge end
  end
  if not free_at then return { 0, 'none', -1, 'only' } end
  if be_woken then call('SET', P .. 'waiting', 1, 'PX', 10000) end
  if free_at == math.huge then return { 0, 'busy', -1, 'full' } end
  return { 0, 'wait', math.max(1, free_at - NOW), 'spacing' }
end

local id, _, lane = first('ready:')
if id then return take(load(id), lane) end

local busy, busy_until = first('busy:')
if soft == 2 or not busy then
  id, _, lane = first('last:')
  if id then return take(load(id), lane) end
end

-- A cooling account may be used for `lane` in spite of its cooldown.
local function usable(a, on, throttled_too)
  local own = lane_cooldowns(a)
  return a.cu > NOW and (a.cr == 'unstable' or (throttled_too and a.cr == 'throttled'))
    and not (own and own[on]) and a.inf < cap_of(a) and a.np <= NOW
end

local cold, cold_until, cold_lane = first('cool:')
local cold_account = cold and load(cold)
if soft == 1 and cold_account and not busy and usable(cold_account, cold_lane, false) then
  return take(cold_account, cold_lane)
end
if soft == 2 then
  for i = 1, n do
    for _, other in ipairs(call('ZRANGE', P .. 'cool:' .. lanes[i], 0, tries + PROMOTE)) do
      local a = not tried[other] and load(other)
      if a and usable(a, lanes[i], true) then return take(a, lanes[i]) end
    end
  end
end

if busy or cold then
  if be_woken then call('SET', P .. 'waiting', 1, 'PX', 10000) end
  local ends = math.min(busy_until or math.huge, cold_until or math.huge)
  if ends == math.huge then return { 0, 'busy', -1, 'full' } end
  -- A full account may be given back at any moment, before the first of those whose time is known.
  local verdict = 'wait'
  for i = 1, n do
    for _, set in ipairs({ 'busy:', 'cool:' }) do
      local full = call('ZCOUNT', P .. set .. lanes[i], '+inf', '+inf')
      for other in pairs(full > 0 and tried or {}) do
        if call('ZSCORE', P .. set .. lanes[i], other) == 'inf' then full = full - 1 end
      end
      if full > 0 then verdict = 'busy' end
    end
  end
  local reason = 'spacing'
  if cold_until == ends and cold_account then
    local own = lane_cooldowns(cold_account)
    if own and own[cold_lane] and own[cold_lane][1] == ends then
      reason = own[cold_lane][2]
    elseif cold_account.cu == ends then
      reason = cold_account.cr
    end
  end
  -- Its parking has an end in case no probe decides; one is under way, and may at any moment.
  if reason == 'suspect' then verdict = 'busy' end
  return { 0, verdict, math.max(1, ends - NOW), reason }
end

-- Nothing but accounts that were tried: when is the first of them free again?
local soonest, any = math.huge, false
for other in pairs(tried) do
  for i = 1, n do
    if call('ZSCORE', P .. 'ready:' .. lanes[i], other) or call('ZSCORE', P .. 'last:' .. lanes[i], other) then
      any, soonest = true, NOW
    end
    for _, set in ipairs({ 'busy:', 'cool:' }) do
      local score = call('ZSCORE', P .. set .. lanes[i], other)
      if score then
        any = true
        local a = load(other)
        if not (a and a.cr == 'suspect' and a.cu == tonumber(score)) then
          soonest = math.min(soonest, tonumber(score) or math.huge)
        end
      end
    end
  end
end
if any then
  return { 0, 'tried', soonest == math.huge and -1 or math.max(0, soonest - NOW), 'tried' }
end
if be_woken then call('SET', P .. 'waiting', 1, 'PX', 10000) end
return { 0, 'none', -1, call('EXISTS', P .. 'epoch') == 1 and 'none' or 'lost' }
