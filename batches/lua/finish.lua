-- A task has ended, for good. Who holds its claim says so; or who held it, while the task is nobody's and has not ended: then
-- the claim, or a first word of this end, went down with a store that was killed, or the worker was taken for dead.
--
-- ARGV: worker, token, id, index, '+' or '-', the outcome, keep in ms.
-- Returns 1, or 0 where the task is another's by now, or will never run.
local worker, token, id, index, sign, outcome, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local held = call('HDEL', P .. 'claims:' .. worker, token) == 1
local b = load(id)
if not b then
  if held then call('DECR', P .. 'running') end
  return 0
end
if held then
  let_go(b)
else
  -- The client repeats a command whose answer was lost.
  local said = call('HGET', P .. 'outcomes:' .. id, index)
  if said then return string.sub(said, 1, #token + 1) == token .. '\n' and 1 or 0 end
  if not take(b, index) then return 0 end
  if b.st == 0 then put(b, 'st', NOW) end
end
call('DECR', P .. 'pending')
add(b, sign == '+' and 'done' or 'bad', 1)
put(b, 'why', '')
call('HSET', P .. 'outcomes:' .. id, index, token .. '\n' .. outcome)
call('RPUSH', P .. 'ended:' .. id, sign .. index)
call('HDEL', P .. 'prompts:' .. id, index)
call('HDEL', P .. 'tries:' .. id, index)
file(b, keep)
return 1
