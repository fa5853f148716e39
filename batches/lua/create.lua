-- Take a batch in whose prompts lie there already, as a whole or not at all.
--
-- ARGV: id, owner, idempotency key ('' for none), fingerprint, most unfinished ones of the owner, keep in ms, then the
-- fields kind, model, form, wish, caller, total, concurrency.
-- Returns {1}, {2, the id of the same batch}, {3: the key stands for another}, {4, unfinished ones}, {5: prompts are lost}.
local id, owner, key, fingerprint = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local most, keep = tonumber(ARGV[5]), tonumber(ARGV[6])
local prompts = P .. 'prompts:' .. id

-- The client repeats a command whose answer was lost.
if call('EXISTS', P .. 'b:' .. id) == 1 then return { 1 } end

local function refuse(...)
  call('DEL', prompts)
  return { ... }
end

local known = P .. 'key:' .. owner .. ':' .. key
if key ~= '' then
  local found = call('GET', known)
  if found then
    local same, print = string.match(found, '^([^\n]+)\n(.*)$')
    if call('EXISTS', P .. 'b:' .. same) == 1 then
      if print == fingerprint then return refuse(2, same) end
      return refuse(3)
    end
  end
end
local unfinished = call('SCARD', P .. 'mine:' .. owner)
if unfinished >= most then return refuse(4, unfinished) end
local total = tonumber(ARGV[12])
if call('HLEN', prompts) ~= total then return refuse(5) end

call('PERSIST', prompts)
call('SADD', P .. 'mine:' .. owner, id)
call('ZADD', P .. 'all', exact(NOW), id)
call('ZADD', P .. 'of:' .. owner, exact(NOW), id)
call('INCRBY', P .. 'pending', total)
if key ~= '' then call('SET', known, id .. '\n' .. fingerprint) end
local turn = call('INCR', P .. 'turns')
call('HSET', P .. 'b:' .. id, 'kind', ARGV[7], 'model', ARGV[8], 'form', ARGV[9], 'wish', ARGV[10], 'caller', ARGV[11],
  'total', total, 'conc', ARGV[13], 'owner', owner, 'key', key, 'cr', exact(NOW), 'turn', turn)
file(load(id), keep)
return { 1 }
