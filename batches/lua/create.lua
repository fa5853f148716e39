-- Take a batch in whose prompts lie there already, as a whole or not at all.
--
-- ARGV: id, owner, idempotency key ('' for none), fingerprint, most unfinished ones of the owner, keep in ms, then the
-- fields kind, model, form, wish, caller, total, concurrency.
-- Returns {1}, {5: its prompts are lost}, or what `obstacle` says.
local id, owner, key, fingerprint = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local most, keep = tonumber(ARGV[5]), tonumber(ARGV[6])
local prompts = P .. 'prompts:' .. id

-- The client repeats a command whose answer was lost.
if call('EXISTS', P .. 'b:' .. id) == 1 then return { 1 } end

local why = obstacle(owner, key, fingerprint, most)
local total = tonumber(ARGV[12])
if why[1] == 0 and call('HLEN', prompts) ~= total then why = { 5 } end
if why[1] > 0 then
  call('DEL', prompts)
  return why
end

call('PERSIST', prompts)
call('SADD', P .. 'mine:' .. owner, id)
call('ZADD', P .. 'all', exact(NOW), id)
call('ZADD', P .. 'of:' .. owner, exact(NOW), id)
call('INCRBY', P .. 'pending', total)
if key ~= '' then call('SET', P .. 'key:' .. owner .. ':' .. key, id .. '\n' .. fingerprint) end
local turn = call('INCR', P .. 'turns')
call('HSET', P .. 'b:' .. id, 'kind', ARGV[7], 'model', ARGV[8], 'form', ARGV[9], 'wish', ARGV[10], 'caller', ARGV[11],
  'total', total, 'conc', ARGV[13], 'owner', owner, 'key', key, 'cr', exact(NOW), 'turn', turn)
file(load(id), keep)
return { 1 }
