-- What the common log was given since a reader looked. ARGV: how many entries it had been given by then, and the epoch it is of.
-- Returns {NOW, how many by now, the epoch, the new entries (newest first), number of living replicas}.
local epoch = call('GET', P .. 'epoch') or ''
local logged = tonumber(call('GET', P .. 'logged') or 0)
local new = math.min(COMMON_LOG, logged - (epoch == ARGV[2] and tonumber(ARGV[1]) or 0))
local entries = new > 0 and call('LRANGE', P .. 'log', 0, new - 1) or {}
return { NOW, logged, epoch, entries, call('ZCOUNT', P .. 'replicas', NOW, '+inf') }
