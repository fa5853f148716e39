-- Give a task to a worker: of the batch that has waited longest for its turn.
--
-- ARGV: worker, token, the worker's life in ms, most tasks that may run over all batches, keep in ms.
-- Returns {1, id, index, counted tries, prompt (false where it is lost), kind, model, wish, caller} or
-- {0, 'full' or 'empty', ms until a task is due by itself or -1}.
local worker, token, ttl, most, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local claims = P .. 'claims:' .. worker

local function given(b, index)
  local tries = tonumber(call('HGET', P .. 'tries:' .. b.id, index)) or 0
  return { 1, b.id, tonumber(index), tries, call('HGET', P .. 'prompts:' .. b.id, index), b.kind, b.model, b.wish,
    b.caller }
end

-- The client repeats a command whose answer was lost; the same token is the same claim.
local held = call('HGET', claims, token)
if held then
  local id, index = string.match(held, '^([^\n]+)\n(%d+)$')
  return given(load(id), index)
end

hear(worker, ttl, keep)
promote(keep)
if (tonumber(call('GET', P .. 'running')) or 0) >= most then return { 0, 'full', -1 } end

local function next_index(b)
  local back = call('ZPOPMIN', P .. 'back:' .. b.id)[1]
  if back then return back end
  local later = P .. 'later:' .. b.id
  local again = call('ZRANGEBYSCORE', later, '-inf', exact(NOW), 'LIMIT', 0, 1)[1]
  if again then
    call('ZREM', later, again)
    return again
  end
  add(b, 'next', 1)
  return exact(b.next - 1)
end

for _ = 1, SOME do
  local id = call('ZRANGE', P .. 'open', 0, 0)[1]
  if not id then break end
  local b = load(id)
  if b and due(b) == 0 then
    local index = next_index(b)
    add(b, 'run', 1)
    if b.st == 0 then put(b, 'st', NOW) end
    put(b, 'turn', call('INCR', P .. 'turns'))
    call('INCR', P .. 'running')
    call('HSET', claims, token, id .. '\n' .. index)
    file(b, keep)
    return given(b, index)
  end
  if b then file(b, keep) else call('ZREM', P .. 'open', id) end
end

local first = tonumber(call('ZRANGE', P .. 'parked', 0, 0, 'WITHSCORES')[2]) or math.huge
return { 0, 'empty', first == math.huge and -1 or math.max(1, first - NOW) }
