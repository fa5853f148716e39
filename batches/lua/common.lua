-- In front of every script, behind clock.lua: keys, and the functions that keep the books.
--
-- KEYS[1] is the prefix. All keys share its hash tag, so that a cluster keeps them on one node. Times are the server's,
-- in milliseconds. A task is known by its batch and its index, from 0.
--
--   b:<id>            hash, one batch (see NUMBERS and WORDS)
--   prompts:<id>      hash, index -> prompt, of tasks that have not ended
--   back:<id>         zset by index: tasks that came back and may run now; they go before those that never ran
--   later:<id>        zset by time: tasks that failed and are tried again
--   tries:<id>        hash, index -> counted tries of those
--   ended:<id>        list, in the order in which tasks ended: `+index` for a result, `-index` for an error
--   outcomes:<id>     hash, index -> token of the claim that ended the task, and what became of it
--   open              zset by last turn: batches of which a task can be claimed now
--   parked            zset by the time at which one can be (+inf: nobody knows)
--   all, of:<owner>   zsets of ids by creation; mine:<owner> set of the unfinished ones
--   key:<owner>:<key> id and fingerprint of the batch that an idempotency key stands for
--   expiring          zset by time: id and owner of ended batches
--   workers           zset by expiry; claims:<worker> hash: token -> id and index
--   demand            hash, replica -> live requests that it reckons with, and until when
--   running, pending  numbers of tasks over all batches; pending counts the running ones too
--   turns             a counter; heard: when any worker was heard last; `news` is the channel, a message an id
--
-- A task that has not ended stands in exactly one place: claims, back, later, or it has an index >= next and never ran.
local P = KEYS[1]
local call = redis.call

-- total, conc(urrency), done, bad, dead (will never run), run(ning), next (first that never ran), cr(eated), st(arted),
-- en(ded), ex(pires), hold (claimed by nobody until then), turn, can(celled).
local NUMBERS = { 'total', 'conc', 'done', 'bad', 'dead', 'run', 'next', 'cr', 'st', 'en', 'ex', 'hold', 'turn', 'can' }
local WORDS = { 'kind', 'model', 'form', 'wish', 'owner', 'caller', 'why', 'key' }
local BACK = 1000 -- by less than this clocks are set back to keep them right
local SOME = 32 -- so much of what may be long is done in one call

local FIELDS = {}
for _, name in ipairs(NUMBERS) do FIELDS[#FIELDS + 1] = name end
for _, name in ipairs(WORDS) do FIELDS[#FIELDS + 1] = name end

-- Lua writes large numbers with an exponent, and so not exactly.
local function exact(number)
  if number == math.huge then return '+inf' end
  return string.format('%.0f', number)
end

local function load(id)
  local v = call('HMGET', P .. 'b:' .. id, unpack(FIELDS))
  if not v[1] then return nil end
  local b = { id = id, w = {} }
  for i, name in ipairs(NUMBERS) do b[name] = tonumber(v[i]) or 0 end
  for i, name in ipairs(WORDS) do b[name] = v[#NUMBERS + i] or '' end
  return b
end

-- Change a field; `file` writes all changes at once.
local function put(b, field, value)
  b[field] = value
  local w = b.w
  w[#w + 1] = field
  w[#w + 1] = type(value) == 'number' and exact(value) or value
end

local function add(b, field, by)
  put(b, field, b[field] + by)
end

local function waiting(b)
  return b.total - b.done - b.bad - b.dead - b.run
end

-- When a task can be claimed: 0 for now, +inf where only an end of another can tell.
local function due(b)
  if b.can == 1 or b.run >= b.conc or waiting(b) <= 0 then return math.huge end
  local at = 0
  if b.next >= b.total and call('EXISTS', P .. 'back:' .. b.id) == 0 then
    at = tonumber(call('ZRANGE', P .. 'later:' .. b.id, 0, 0, 'WITHSCORES')[2]) or math.huge
  end
  at = math.max(at, b.hold)
  return at <= NOW and 0 or at
end

-- Nothing of it is left to run: from now on it only is read, until it expires. A key of it goes with it.
local function close(b, keep)
  put(b, 'en', NOW)
  put(b, 'ex', NOW + keep)
  put(b, 'why', '')
  call('SREM', P .. 'mine:' .. b.owner, b.id)
  call('ZADD', P .. 'expiring', exact(NOW + keep), b.id .. '\n' .. b.owner)
  call('DEL', P .. 'prompts:' .. b.id, P .. 'back:' .. b.id, P .. 'later:' .. b.id, P .. 'tries:' .. b.id)
  for _, name in ipairs({ 'b:', 'ended:', 'outcomes:' }) do call('PEXPIRE', P .. name .. b.id, keep) end
  if b.key ~= '' then call('PEXPIRE', P .. 'key:' .. b.owner .. ':' .. b.key, keep) end
end

-- Write what was put, file the batch where it belongs, tell who listens.
local function file(b, keep)
  if b.en == 0 and b.done + b.bad + b.dead >= b.total then close(b, keep) end
  local at = b.en > 0 and math.huge or due(b)
  if b.en > 0 then
    call('ZREM', P .. 'open', b.id)
    call('ZREM', P .. 'parked', b.id)
  elseif at == 0 then
    call('ZADD', P .. 'open', exact(b.turn), b.id)
    call('ZREM', P .. 'parked', b.id)
  else
    call('ZADD', P .. 'parked', exact(at), b.id)
    call('ZREM', P .. 'open', b.id)
  end
  if #b.w > 0 then
    call('HSET', P .. 'b:' .. b.id, unpack(b.w))
    b.w = {}
  end
  call('PUBLISH', P .. 'news' .. CHANNEL, b.id)
end

-- The claim is over, whatever comes next.
local function let_go(b)
  call('DECR', P .. 'running')
  add(b, 'run', -1)
end

-- A task that was claimed did not end. A cancelled batch's never will.
local function bring_back(b, index)
  if b.can == 1 then
    add(b, 'dead', 1)
    call('DECR', P .. 'pending')
    call('HDEL', P .. 'prompts:' .. b.id, index)
  else
    call('ZADD', P .. 'back:' .. b.id, index, index)
  end
end

-- Take a task that nobody runs out of its place; false where there is none.
local function take(b, index)
  if b.can == 1 or b.en > 0 then return false end
  if call('ZREM', P .. 'back:' .. b.id, index) == 1 or call('ZREM', P .. 'later:' .. b.id, index) == 1 then return true end
  local n = tonumber(index)
  if n < b.next or n >= b.total then return false end
  -- It is one of those that never ran, and those before it are not to be forgotten.
  for other = b.next, n - 1 do call('ZADD', P .. 'back:' .. b.id, other, exact(other)) end
  put(b, 'next', n + 1)
  return true
end

-- Take tasks back from a worker: `most` at a time. True once it has none.
local function strip(worker, counted, most, keep)
  local claims = P .. 'claims:' .. worker
  local some = call('HSCAN', claims, 0, 'COUNT', most)[2]
  for i = 1, #some, 2 do
    call('HDEL', claims, some[i])
    local id, index = string.match(some[i + 1], '^([^\n]+)\n(%d+)$')
    local b = load(id)
    if b then
      let_go(b)
      if counted then call('HINCRBY', P .. 'tries:' .. id, index, 1) end
      bring_back(b, index)
      file(b, keep)
    else
      call('DECR', P .. 'running')
    end
  end
  if call('EXISTS', claims) == 1 then return false end
  call('ZREM', P .. 'workers', worker)
  return true
end

-- The server's clock was set back, or another server took over: what is due later keeps its distance.
local function set_back(by, keep)
  for _, place in ipairs({ 'open', 'parked' }) do
    for _, id in ipairs(call('ZRANGE', P .. place, 0, -1)) do
      local b = load(id)
      if b then
        if b.hold > NOW then put(b, 'hold', math.max(NOW, b.hold - by)) end
        local later = call('ZRANGEBYSCORE', P .. 'later:' .. id, '(' .. exact(NOW), '+inf', 'WITHSCORES')
        for i = 1, #later, 2 do
          call('ZADD', P .. 'later:' .. id, exact(math.max(NOW, tonumber(later[i + 1]) - by)), later[i])
        end
        file(b, keep)
      end
    end
  end
  call('DEL', P .. 'demand') -- it is told anew with the next beats
end

-- Note that this worker lives, and take back what one holds that has not been heard of for too long. Where nobody was
-- heard it was the store that was away: then nobody is dead.
local function hear(worker, ttl, keep)
  local heard = tonumber(call('GET', P .. 'heard')) or NOW
  local back = heard - NOW > BACK
  if back then set_back(heard - NOW, keep) end
  if back or NOW - heard > ttl / 2 then
    for _, one in ipairs(call('ZRANGE', P .. 'workers', 0, -1)) do
      call('ZADD', P .. 'workers', exact(NOW + ttl), one)
    end
  end
  call('SET', P .. 'heard', exact(NOW))
  call('ZADD', P .. 'workers', exact(NOW + ttl), worker)
  local dead = call('ZRANGEBYSCORE', P .. 'workers', '-inf', '(' .. exact(NOW), 'LIMIT', 0, 1)[1]
  if dead then strip(dead, true, SOME, keep) end
end

-- File the parked batches whose time has come.
local function promote(keep)
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'parked', '-inf', exact(NOW), 'LIMIT', 0, SOME)) do
    local b = load(id)
    if b then
      file(b, keep)
    else
      call('ZREM', P .. 'parked', id)
    end
  end
end

-- Why this owner gets no new batch: {2, the id of the one that the key stands for}, {3: it stands for another order},
-- {4, unfinished ones}; {0} for no reason.
local function obstacle(owner, key, fingerprint, most)
  local found = key ~= '' and call('GET', P .. 'key:' .. owner .. ':' .. key)
  if found then
    local same, print = string.match(found, '^([^\n]+)\n(.*)$')
    if call('EXISTS', P .. 'b:' .. same) == 1 then
      if print == fingerprint then return { 2, same } end
      return { 3 }
    end
  end
  local unfinished = call('SCARD', P .. 'mine:' .. owner)
  if unfinished >= most then return { 4, unfinished } end
  return { 0 }
end

-- Whether the batch is this owner's; '' owns all.
local function owned(b, owner)
  return b and (owner == '' or b.owner == owner)
end
