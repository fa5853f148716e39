-- Lease the least recently used account that can serve now one of the lanes asked for.
--
-- ARGV: replica, lease, lease's life in ms, soft, jitter in [0, 1), 1 to be woken, the only account that is wanted
--       ('' for any), for a background request how many of the accounts to leave out have no session in this replica
--       ('' for a live one), number of lanes, the lanes in order of preference, the accounts to leave out, last those
--       without a session.
-- soft 1: where only cooling accounts are left and the first to return was ejected as unstable, use it.
-- soft 2: use any account that cools for instability or a 429, and do not wait for busy ones.
-- Returns {1, account, lane, in flight} or {0, verdict, ms, reason}; ms is -1 where no time is known.
-- Verdicts: wait (all cool or are spaced, the first until ms), busy (some are full, or the first to return is being
-- probed), tried (only accounts that were left out could serve; ms knows nothing of those that are being probed), none
-- (reason `lost`: the store has no epoch, see beat). For one account alone: wait
-- (spaced until ms), busy (full), none (reason `only`: it cools, fails, or serves none of the lanes); nobody is
-- searched, and it takes its place at the tail of the order as after any other use.
-- A background request gets nothing while a live one waits (busy or wait, reason `live`), and no account that live ones
-- would miss (reason `kept` where nothing else is in its way, or sooner out of it): see `spare`. It uses no cooling account.
local replica, lease, life = ARGV[1], ARGV[2], tonumber(ARGV[3])
local soft, jitter, be_woken, only = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1', ARGV[7]
local SOON = 30000
-- Of background requests. All in ms.
local ESTIMATE = 250 -- the rate of live picks is reckoned anew after so long,
local SLOW, FAST = 5000, 1000 -- as exponential means over about so long; the larger counts
local FULL = 4000 -- at least so long an account without a free slot is held to be gone,
local GONE = 10000 -- and at most so long any that the pick takes away
local TRICKLE = 5000 -- after so long one is served at the cost of live ones to come
local background, blind, n = ARGV[8] ~= '', tonumber(ARGV[8]) or 0, tonumber(ARGV[9])
local leases = P .. 'leases:' .. replica

-- The client repeats a command whose answer was lost; the same lease is the same pick.
local held = call('HGET', leases, lease)
if held then
  local id, lane = string.match(held, '^([^\n]+)\n([^\n]+)')
  return { 1, id, lane, tonumber(call('HGET', P .. 'a:' .. id, 'inf')) or 0 }
end

mind_the_clock()
alive(replica, life)
reap()

local function wait_for_word()
  if not be_woken then return end
  if background then
    call('SET', P .. 'waiting', 'background', 'PX', WAITING, 'NX')
  else
    call('SET', P .. 'waiting', 'live', 'PX', WAITING)
  end
end

local rate, behind, taken -- live picks per ms; background picks so far, and when the last one was
if background then
  local waiting, called, uses = unpack(call('MGET', P .. 'waiting', P .. 'called', P .. 'uses'))
  local v = call('HMGET', P .. 'pace', 'behind', 'taken', 'at', 'live', 'slow', 'fast')
  behind, taken = tonumber(v[1]) or 0, tonumber(v[2]) or 0
  local picks, at, slow, fast = (tonumber(uses) or 0) - behind, tonumber(v[3]), tonumber(v[5]) or 0, tonumber(v[6]) or 0
  if not at or NOW - at >= ESTIMATE then
    if at then
      local passed = NOW - at
      local lately = (picks - tonumber(v[4])) / passed
      slow = slow + (lately - slow) * (1 - math.exp(-passed / SLOW))
      fast = fast + (lately - fast) * (1 - math.exp(-passed / FAST))
    end
    call('HSET', P .. 'pace', 'at', NOW, 'live', picks, 'slow', slow, 'fast', fast)
  end
  rate = math.max(slow, fast)
  local live = waiting and waiting ~= 'background'
  if live or called then
    wait_for_word()
    if live then return { 0, 'busy', -1, 'live' } end
    return { 0, 'wait', math.max(1, call('PTTL', P .. 'called')), 'live' }
  end
end

for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'shunned', '-inf', NOW, 'LIMIT', 0, PROMOTE)) do
  local a = load(id)
  if a then
    forgive(a)
    place(a)
  else
    call('ZREM', P .. 'shunned', id)
  end
end

local lanes, tried, tries = {}, {}, #ARGV - 9 - n
for i = 1, n do lanes[i] = ARGV[9 + i] end
for i = 10 + n, #ARGV do tried[ARGV[i]] = i > #ARGV - blind and 'blind' or 'asked' end
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

-- When the account may be picked again once it is picked now.
local function next_pick_of(a)
  local at = NOW
  if a.mi > 0 then at = NOW + math.ceil(a.mi * (1 + jitter / 10)) end
  if a.rpm > 0 then
    -- With this pick, the first of as many as a minute may have.
    local oldest = a.rpm == 1 and NOW or tonumber(call('LINDEX', P .. 'recent:' .. a.id, a.rpm - 2))
    if oldest then at = math.max(at, oldest + 60000) end
  end
  return at
end

local function take(a, lane)
  local next_pick = next_pick_of(a)
  put(a, 'seq', call('INCR', P .. 'uses'))
  if background then call('HSET', P .. 'pace', 'behind', behind + 1, 'taken', NOW) end
  put(a, 'inf', a.inf + 1)
  put(a, 'lp', NOW)
  a.used = true
  if a.rpm > 0 then
    local recent = P .. 'recent:' .. a.id
    call('LPUSH', recent, NOW)
    call('LTRIM', recent, 0, a.rpm - 1)
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
  wait_for_word()
  if free_at == math.huge then return { 0, 'busy', -1, 'full' } end
  return { 0, 'wait', math.max(1, free_at - NOW), 'spacing' }
end

local id, lane, kept, due, _
if not background then
  id, _, lane = first('ready:')
  if id then return take(load(id), lane) end
else
  -- How many accounts stand in a lane's set, and how many of them this request may still ask. Of those that cool only such
  -- as are back soon: for one that has used up its day nothing is kept.
  local function count(set, lane, blind_too)
    local key = P .. set .. lane
    local most = set == SET.c and NOW + SOON or math.huge
    local all = most < math.huge and call('ZCOUNT', key, '-inf', most) or call('ZCARD', key)
    local own = all
    for other, why in pairs(all > 0 and tried or {}) do
      local score = not (blind_too and why == 'blind') and call('ZSCORE', key, other)
      if score and (tonumber(score) or math.huge) <= most then own = own - 1 end
    end
    return all, own
  end

  -- How many accounts of a lane stand ready (`last` too: or are the last resort), and how many serve it at all: each as all,
  -- and those of them that this request has not tried. The same for each account that is looked at.
  local standings = {}
  local function standing(lane, last)
    local key = (last and 'l' or 'r') .. lane
    if standings[key] then return unpack(standings[key]) end
    promote(P .. 'busy:' .. lane)
    promote(P .. 'cool:' .. lane)
    local ready, own = count('ready:', lane)
    if last then
      local more, own_more = count('last:', lane)
      ready, own = ready + more, own + own_more
    end
    local serving, own_serving = 0, 0
    for _, set in pairs(SET) do
      local all, mine = count(set, lane, true)
      serving, own_serving = serving + all, own_serving + mine
    end
    standings[key] = { ready, own, serving, own_serving }
    return ready, own, serving, own_serving
  end

  -- How many accounts live requests will take before `a` is back, but for one time in fifty: their number is held to be
  -- Poisson distributed. 1 or more.
  local function need_without(a)
    local gone = next_pick_of(a) - NOW
    if a.inf + 1 >= cap_of(a) then gone = math.max(gone, FULL) end
    local mean = rate * math.min(gone, GONE)
    if mean > 50 then return math.ceil(mean + 2.054 * math.sqrt(mean)) end
    local k, p = 0, math.exp(-mean)
    local sum = p
    while sum < 0.98 do
      k = k + 1
      p = p * mean / k
      sum = sum + p
    end
    return math.max(1, k)
  end

  -- What live requests find ready when `a` is taken as well: 2 an account for each of the lanes that it is ready for, 1 the
  -- same but for lanes that nobody else serves, 0 too little; and whether that is all that they will need until it is back,
  -- or all other accounts. One that this request has tried may still serve others, but perhaps none of its kind (pictures
  -- rest by themselves): there must be as many of either sort. One without a session here is no help to the live requests
  -- of this replica.
  local function leaves(a)
    if a.inf + 1 < cap_of(a) and next_pick_of(a) <= NOW then return 2, true end
    local need = need_without(a)
    local i, rank, enough = 0, 2, true
    for lane in string.gmatch(a.lanes, '[^\n]+') do
      i = i + 1
      local at = string.sub(a.at, i, i)
      if at == 'r' or at == 'l' then
        local ready, own, serving, own_serving = standing(lane, at == 'l')
        if own < 2 then
          if own_serving > 1 or (ready < 2 and serving > 1) then return 0 end
          rank = 1
        elseif own <= math.min(need, own_serving - 1) or ready <= math.min(need, serving - 1) then
          enough = false
        end
      end
    end
    return rank, enough
  end

  -- Lease the least recently used account of `set` that live requests can spare. Returns the lease or nil, and whether there
  -- is an account that they cannot spare.
  local function spare(set)
    local heads, seen = {}, {}
    for i = 1, n do
      local some = call('ZRANGE', P .. set .. lanes[i], 0, tries + PROMOTE - 1, 'WITHSCORES')
      for k = 1, #some, 2 do
        if not tried[some[k]] and not seen[some[k]] then
          seen[some[k]] = true
          heads[#heads + 1] = { id = some[k], score = tonumber(some[k + 1]), lane = lanes[i] }
        end
      end
    end
    table.sort(heads, function(x, y) return x.score < y.score end)
    local wait = taken + TRICKLE - NOW
    local second = {}
    for _, head in ipairs(heads) do
      local a = load(head.id)
      local stood = a.at
      place(a)
      if a.at ~= stood then standings = {} end
      local rank, enough = leaves(a)
      if rank == 2 and enough then return take(a, head.lane) end
      if rank > 0 and not enough then due = wait end
      -- First what all can spare, then what live requests to come may miss.
      local which = enough and 1 or 4 - rank
      if rank > 0 and (enough or wait <= 0) and not second[which] then second[which] = { a, head.lane } end
    end
    local best = second[1] or second[2] or second[3]
    if best then return take(best[1], best[2]) end
    return nil, #heads > 0
  end

  local given
  given, kept = spare('ready:')
  if not given and not kept and not first('busy:') and not first('cool:') then given, kept = spare('last:') end
  if given then return given end
end

local busy, busy_until = first('busy:')
if not background and (soft == 2 or not busy) then
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
  wait_for_word()
  local ends = math.min(busy_until or math.huge, cold_until or math.huge)
  if due and NOW + due < ends then return { 0, 'busy', due, 'kept' } end
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

if kept then
  wait_for_word()
  return { 0, 'busy', due or -1, 'kept' }
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
wait_for_word()
return { 0, 'none', -1, call('EXISTS', P .. 'epoch') == 1 and 'none' or 'lost' }
