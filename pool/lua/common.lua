-- In front of every script, behind clock.lua: keys, and the one function that files an account where it belongs.
--
-- KEYS[1] is the prefix. All keys share its hash tag, so that a cluster keeps them on one node. Times are
-- the server's, in milliseconds.
--
--   a:<id>            hash, one account (fields: see `load`)
--   log:<id>          list, its last state changes, newest first
--   log               list, the last of all accounts and the comings and goings of replicas; logged: how many it was ever given
--   recent:<id>       list, its last picks, where requests per minute are limited
--   accounts          zset of ids by their place in the roster
--   ready:<lane>      zset by last use: accounts that can be picked now
--   last:<lane>       the same for accounts that are picked only when nothing else is left
--   busy:<lane>       zset by return time (+inf: at a release): well, but full or spaced
--   cool:<lane>       zset by return time: cooling, or of `last` and full or spaced
--   cooling, ejected  zsets by end: accounts in state cooling; those of them ejected as unstable
--   egress:<name>     set of the accounts behind one proxy
--   shunned           zset by end: accounts that failed as often but were kept, see `last`
--   counts            hash: accounts by state, and `capacity`
--   replicas          zset by expiry; leases:<replica> hash: lease -> account, lane, generation
--   waiting           who waits for an account, in any replica: 'live', or 'background' where no live request does;
--                     gone once they were told over the channel `wake`
--   pace              hash: how fast live requests come, as background ones find out (`at`, then `slow` and `fast` in
--                     picks per ms), from the count of all uses and of those that were no live picks (`behind`);
--                     `taken`: when the last background pick was
--   uses              how often an account came to the tail of the order
--   clock             the server's time at the last beat
--   called            exists for a moment after live requests were told: they come before any background one
--
-- An account that can serve a lane stands in exactly one of that lane's four sets; the field `at` remembers
-- in which (one letter a lane), so that a move touches two sets and nothing is ever searched.
local P = KEYS[1]
local call = redis.call
local PROMOTE = 16
local WAITING = 5000 -- who waits asks again well before that
local CALLED = 250 -- from a word on the channel to the answer of who waited for it
local BACK = 1000 -- by less than this clocks are set back to keep them right
local MARKS = { 'lp', 'ss', 'qs', 'pv', 'pb', 'ca', 'ra' } -- of an account: when something was last
local LOG_LENGTH = 200
local COMMON_LOG = 1000

local SET = { r = 'ready:', l = 'last:', b = 'busy:', c = 'cool:' }

-- Its fields by name, as written out as this is: most of a pick's time is Lua's, and of that most went into loops over names.
local function load(id)
  local v = call('HMGET', P .. 'a:' .. id, 'mc', 'mi', 'rpm', 'on', 'off', 'dr', 'op', 'cu', 'inf', 'seq', 'np', 'ho', 'sh',
    'cf', 'ej', 'eu', 'tl', 'cp', 'gen', 'q', 'cr', 'lc', 'lanes', 'at', 'st', 'sr', 'eg', 'dl')
  if not v[1] then return nil end
  local n = tonumber
  return {
    id = id, w = {},
    mc = n(v[1]) or 0, mi = n(v[2]) or 0, rpm = n(v[3]) or 0, on = n(v[4]) or 0, off = n(v[5]) or 0, dr = n(v[6]) or 0,
    op = n(v[7]) or 0, cu = n(v[8]) or 0, inf = n(v[9]) or 0, seq = n(v[10]) or 0, np = n(v[11]) or 0, ho = n(v[12]) or 0,
    sh = n(v[13]) or 0, cf = n(v[14]) or 0, ej = n(v[15]) or 0, eu = n(v[16]) or 0, tl = n(v[17]) or 0, cp = n(v[18]) or 0,
    gen = n(v[19]) or 0,
    q = v[20] or '', cr = v[21] or '', lc = v[22] or '', lanes = v[23] or '', at = v[24] or '', st = v[25] or '',
    sr = v[26] or '', eg = v[27] or '', dl = v[28] or '',
  }
end

-- Change a field; `place` writes all changes at once.
local function put(a, field, value)
  a[field] = value
  local w = a.w
  w[#w + 1] = field
  w[#w + 1] = value
end

local function state_of(a)
  if a.dr == 1 then return 'draining', 'removed' end
  if a.on ~= 1 or a.off == 1 then return 'disabled', a.off == 1 and 'by hand' or 'by configuration' end
  if a.q ~= '' then return 'quarantined', a.q end
  if a.op ~= 1 then return 'starting', '' end
  if a.cu > NOW then return 'cooling', a.cr end
  return 'active', ''
end

local function drop(a)
  local i = 0
  for lane in string.gmatch(a.lanes, '[^\n]+') do
    i = i + 1
    local set = SET[string.sub(a.at, i, i)]
    if set then call('ZREM', P .. set .. lane, a.id) end
  end
end

local function cap_of(a) return a.ho == 1 and 1 or a.mc end

-- Lane cooldowns: {lane: [until, reason]}; those that are over are left out.
local function lane_cooldowns(a)
  if a.lc == '' then return nil end
  local all, kept, gone = cjson.decode(a.lc), {}, false
  for lane, entry in pairs(all) do
    if entry[1] > NOW then kept[lane] = entry else gone = true end
  end
  if next(kept) == nil then
    put(a, 'lc', '')
    return nil
  end
  if gone then put(a, 'lc', cjson.encode(kept)) end
  return kept
end

local function log_for_all(entry)
  call('LPUSH', P .. 'log', cjson.encode(entry))
  call('LTRIM', P .. 'log', 0, COMMON_LOG - 1)
  call('INCR', P .. 'logged')
end

-- File the account in the sets that its fields ask for, note a change of state, write what was put.
local function place(a)
  local state, reason = state_of(a)
  if state ~= a.st or reason ~= a.sr then
    -- A cooldown that ended is noticed late; the log shows when it ended.
    local at = NOW
    if a.st == 'cooling' and state == 'active' and a.cu > 0 and a.cu < NOW then at = a.cu end
    if a.st ~= '' then call('HINCRBY', P .. 'counts', a.st, -1) end
    call('HINCRBY', P .. 'counts', state, 1)
    call('LPUSH', P .. 'log:' .. a.id,
      cjson.encode({ at = at, from = a.st, to = state, reason = reason }))
    call('LTRIM', P .. 'log:' .. a.id, 0, LOG_LENGTH - 1)
    log_for_all({ at = at, account = a.id, from = a.st, to = state, reason = reason })
    if a.st == 'cooling' and state ~= 'cooling' then
      call('ZREM', P .. 'cooling', a.id)
      call('ZREM', P .. 'ejected', a.id)
    end
    call('PUBLISH', P .. 'wake' .. CHANNEL, table.concat({ 'state', a.id, string.format('%.0f', at), a.st, state, reason }, ' '))
    put(a, 'st', state)
    put(a, 'sr', reason)
    put(a, 'ss', at)
  end
  if state == 'cooling' then call('ZADD', P .. 'cooling', a.cu, a.id) end
  local serves = state == 'active' or state == 'cooling'
  local share = serves and a.mc or 0
  if share ~= a.cp then
    call('HINCRBY', P .. 'counts', 'capacity', share - a.cp)
    put(a, 'cp', share)
  end
  local lanes_cool = lane_cooldowns(a)
  local full = a.inf >= cap_of(a)
  local i, now_at = 0, {}
  for lane in string.gmatch(a.lanes, '[^\n]+') do
    i = i + 1
    local was = string.sub(a.at, i, i)
    local kind, score = '-', nil
    if serves then
      local ends = a.cu
      local own = lanes_cool and lanes_cool[lane]
      if own and own[1] > ends then ends = own[1] end
      if ends > NOW then
        kind, score = 'c', ends
      elseif full or a.np > NOW then
        kind, score = a.sh == 1 and 'c' or 'b', full and '+inf' or a.np
      else
        kind, score = a.sh == 1 and 'l' or 'r', a.seq
      end
    end
    if was ~= kind and SET[was] then call('ZREM', P .. SET[was] .. lane, a.id) end
    if score and (was ~= kind or kind ~= 'r' or a.used) then call('ZADD', P .. SET[kind] .. lane, score, a.id) end
    now_at[i] = kind
  end
  local at = table.concat(now_at)
  if at ~= a.at then put(a, 'at', at) end
  if #a.w > 0 then
    call('HSET', P .. 'a:' .. a.id, unpack(a.w))
    a.w = {}
  end
end

-- The account is no longer only the last resort.
local function forgive(a)
  put(a, 'sh', 0)
  call('ZREM', P .. 'shunned', a.id)
end

local function forget(a)
  drop(a)
  log_for_all({ at = NOW, account = a.id, from = a.st, to = '', reason = 'removed' })
  call('ZREM', P .. 'shunned', a.id)
  call('HINCRBY', P .. 'counts', a.st, -1)
  call('HINCRBY', P .. 'counts', 'capacity', -a.cp)
  call('SREM', P .. 'egress:' .. a.eg, a.id)
  call('ZREM', P .. 'accounts', a.id)
  call('ZREM', P .. 'cooling', a.id)
  call('ZREM', P .. 'ejected', a.id)
  call('DEL', P .. 'a:' .. a.id, P .. 'log:' .. a.id, P .. 'recent:' .. a.id)
end

-- One lease less. A removed account goes with its last lease.
local function give_back(a)
  put(a, 'inf', math.max(0, a.inf - 1))
  if a.dr == 1 and a.inf == 0 then
    forget(a)
    return true
  end
  return false
end

local function wake()
  local who = call('GETDEL', P .. 'waiting')
  if not who then return end
  if who ~= 'background' then call('SET', P .. 'called', 1, 'PX', CALLED) end
  call('PUBLISH', P .. 'wake' .. CHANNEL, 'free')
end

-- The later end always wins: a cooldown never shortens one that runs.
local function cool(a, ms, reason)
  local ends = NOW + ms
  if ends > a.cu then
    put(a, 'cu', ends)
    put(a, 'cr', reason)
  end
end

-- A sign of life, good for so long.
local function alive(replica, ms)
  if call('ZADD', P .. 'replicas', NOW + ms, replica) == 1 then log_for_all({ at = NOW, replica = replica, to = 'came' }) end
end

-- how: 'left' where it said so itself, 'lost' where it died.
local function replica_gone(name, how)
  if call('ZREM', P .. 'replicas', name) == 1 then log_for_all({ at = NOW, replica = name, to = how }) end
end

local function reap_lease(replica, lease, held)
  call('HDEL', P .. 'leases:' .. replica, lease)
  local a = load(string.match(held, '^[^\n]+'))
  if a and not give_back(a) then place(a) end
end

-- Give back the leases of one replica that has not been heard of for too long: a bounded part at a time.
local function reap()
  local dead = call('ZRANGEBYSCORE', P .. 'replicas', '-inf', '(' .. NOW, 'LIMIT', 0, 1)[1]
  if not dead then return end
  local some = call('HSCAN', P .. 'leases:' .. dead, 0, 'COUNT', 32)[2]
  for i = 1, #some, 2 do reap_lease(dead, some[i], some[i + 1]) end
  if call('EXISTS', P .. 'leases:' .. dead) == 0 then replica_gone(dead, 'lost') end
  if #some > 0 then wake() end
end

local function promote(key)
  for _, id in ipairs(call('ZRANGEBYSCORE', key, '-inf', NOW, 'LIMIT', 0, PROMOTE)) do
    local a = load(id)
    if a then place(a) else call('ZREM', key, id) end
  end
end

-- The server's clock was set back, or another server took over: what lies ahead, or was a while ago, keeps its distance. Or else accounts would rest, and the
-- dead keep theirs, until the old time has come again. (Where it jumps ahead all that ends early, and who fails again rests again.)
local function set_back(by)
  local function earlier(time) return math.max(NOW, time - by) end
  local function ago(time) return math.min(NOW, time - by) end
  local function keep_distance(a)
    for _, field in ipairs({ 'np', 'cu', 'eu' }) do
      if a[field] > NOW then put(a, field, earlier(a[field])) end
    end
    for i, time in ipairs(call('HMGET', P .. 'a:' .. a.id, unpack(MARKS))) do
      if (tonumber(time) or 0) > NOW then put(a, MARKS[i], ago(tonumber(time))) end
    end
    local lanes = lane_cooldowns(a)
    for _, entry in pairs(lanes or {}) do entry[1] = earlier(entry[1]) end
    if lanes then put(a, 'lc', cjson.encode(lanes)) end
    place(a)
    for i, time in ipairs(call('LRANGE', P .. 'recent:' .. a.id, 0, -1)) do
      if tonumber(time) > NOW then call('LSET', P .. 'recent:' .. a.id, i - 1, ago(tonumber(time))) end
    end
  end
  for _, id in ipairs(call('ZRANGE', P .. 'accounts', 0, -1)) do
    local a = load(id)
    if a then keep_distance(a) end
  end
  for _, name in ipairs({ 'ejected', 'shunned', 'replicas' }) do
    local ahead = call('ZRANGEBYSCORE', P .. name, '(' .. NOW, '+inf', 'WITHSCORES')
    for i = 1, #ahead, 2 do call('ZADD', P .. name, earlier(tonumber(ahead[i + 1])), ahead[i]) end
  end
  call('DEL', P .. 'pace', P .. 'called')
  wake()
end

local function mind_the_clock()
  local before = tonumber(call('GET', P .. 'clock')) or NOW
  if before - NOW > BACK then
    call('SET', P .. 'clock', NOW)
    set_back(before - NOW)
  end
end
