-- A replica goes: all its leases come back. ARGV: replica.
local replica = ARGV[1]
local all = call('HGETALL', P .. 'leases:' .. replica)
for i = 1, #all, 2 do reap_lease(replica, all[i], all[i + 1]) end
call('ZREM', P .. 'replicas', replica)
wake()
return #all / 2
