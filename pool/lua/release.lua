-- End a lease and apply what its outcome means, in one step. A lease that was reaped changes nothing.
--
-- ARGV: replica, lease, effect, reason, ms, then by effect:
--   none
--   ok         ms: an ejection that ended longer ago than this is forgotten
--   throttled  ms: the least wait; base ms, cap ms, jitter factor
--   lane       ms: how long the lane cools
--   egress     ms: how long every account behind the same proxy cools
--   unstable   threshold, base ms, cap ms
--   suspect    ms: how long the account is parked for a probe
--   hard       quarantine
-- Returns {1, state} or {0, ''} for a lease that is not held any more.
local replica, lease, effect, reason, ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local held = call('HGET', P .. 'leases:' .. replica, lease)
if not held then return { 0, '' } end
call('HDEL', P .. 'leases:' .. replica, lease)
local id, lane, gen = string.match(held, '^([^\n]+)\n([^\n]+)\n(%d+)$')
local a = load(id)
if not a then return { 0, '' } end
if give_back(a) then
  wake()
  return { 1, '' }
end
-- What a call found that began before the account was reinstated says nothing about it now.
local current = tonumber(gen) == a.gen

apply(a, effect, lane, reason, ms, current)
place(a)
wake()
return { 1, a.st }
