-- A replica's sign of life, and the pool's numbers.
-- ARGV: replica, lease's life in ms (0: only read), epoch to set where the store has none ('' for none).
-- Returns {1 where the store had an epoch, the counts as a flat list}. A store without one has lost its
-- data, or is new: the replica must tell it its accounts again.
local known = call('EXISTS', P .. 'epoch')
mind_the_clock()
if tonumber(ARGV[2]) > 0 then
  call('SET', P .. 'clock', NOW)
  alive(ARGV[1], tonumber(ARGV[2]))
end
if ARGV[3] ~= '' and known == 0 then call('SET', P .. 'epoch', ARGV[3]) end
reap()
for _ = 1, 16 do
  local due = call('ZRANGEBYSCORE', P .. 'cooling', '-inf', NOW, 'LIMIT', 0, PROMOTE)
  if #due == 0 then break end
  for _, id in ipairs(due) do
    local a = load(id)
    if a then place(a) else call('ZREM', P .. 'cooling', id) end
  end
end
return { known, call('HGETALL', P .. 'counts') }
