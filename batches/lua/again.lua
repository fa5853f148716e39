-- A claimed task did not end: it runs again later.
--
-- ARGV: worker, token, id, index, ms, 1 where the run counts as a try, why the batch waits, keep in ms.
-- Counted, the task alone waits so long; otherwise its batch does.
-- Returns 1, or 0 where the claim was lost (or the command is a repeated one).
local worker, token, id, index = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ms, counted, why, keep = tonumber(ARGV[5]), ARGV[6] == '1', ARGV[7], tonumber(ARGV[8])
if call('HDEL', P .. 'claims:' .. worker, token) == 0 then return 0 end
local b = load(id)
if not b then
  call('DECR', P .. 'running')
  return 0
end
let_go(b)
if counted then call('HINCRBY', P .. 'tries:' .. id, index, 1) end
if counted and b.can == 0 then
  call('ZADD', P .. 'later:' .. id, exact(NOW + ms), index)
else
  bring_back(b, index)
end
put(b, 'why', why)
-- The later end wins.
if not counted and NOW + ms > b.hold then put(b, 'hold', NOW + ms) end
file(b, keep)
return 1
