-- A task has ended, for good. Only who holds its claim may say so.
--
-- ARGV: worker, token, id, index, '+' or '-', the outcome, keep in ms.
-- Returns 1, or 0 where the claim was lost.
local worker, token, id, index, sign, outcome, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
if call('HDEL', P .. 'claims:' .. worker, token) == 0 then
  -- The client repeats a command whose answer was lost.
  local said = call('HGET', P .. 'outcomes:' .. id, index)
  return said and string.sub(said, 1, #token + 1) == token .. '\n' and 1 or 0
end
local b = load(id)
if not b then
  call('DECR', P .. 'running')
  return 0
end
let_go(b)
call('DECR', P .. 'pending')
add(b, sign == '+' and 'done' or 'bad', 1)
put(b, 'why', '')
call('HSET', P .. 'outcomes:' .. id, index, token .. '\n' .. outcome)
call('RPUSH', P .. 'ended:' .. id, sign .. index)
call('HDEL', P .. 'prompts:' .. id, index)
call('HDEL', P .. 'tries:' .. id, index)
file(b, keep)
return 1
