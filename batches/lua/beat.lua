-- A worker's sign of life, and how much there is to do. What has expired is struck from the lists.
--
-- ARGV: worker ('' only reads), its life in ms, keep in ms, replica ('' for none), the live requests that it reckons with.
-- Returns {unfinished batches, tasks that have not ended, those of them that run, live requests over all replicas}.
if ARGV[1] ~= '' then hear(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])) end
promote(tonumber(ARGV[3]))
for _, gone in ipairs(call('ZRANGEBYSCORE', P .. 'expiring', '-inf', exact(NOW), 'LIMIT', 0, SOME)) do
  local id, owner = string.match(gone, '^([^\n]+)\n(.*)$')
  call('ZREM', P .. 'all', id)
  call('ZREM', P .. 'of:' .. owner, id)
  call('ZREM', P .. 'expiring', gone)
end
local ttl, replica, demand = tonumber(ARGV[2]), ARGV[4], tonumber(ARGV[5])
if replica ~= '' then call('HSET', P .. 'demand', replica, demand .. ' ' .. exact(NOW + ttl)) end
local all = 0
local demands = call('HGETALL', P .. 'demand')
for i = 1, #demands, 2 do
  local number, ends = string.match(demands[i + 1], '^(%d+) (%d+)$')
  if tonumber(ends) < NOW then
    call('HDEL', P .. 'demand', demands[i])
  else
    all = all + tonumber(number)
  end
end
return { call('ZCARD', P .. 'open') + call('ZCARD', P .. 'parked'), tonumber(call('GET', P .. 'pending')) or 0,
  tonumber(call('GET', P .. 'running')) or 0, all }
