-- A replica goes: all its leases come back. ARGV: replica, 1 where it has died.
local replica = ARGV[1]
local all = call('HGETALL', P .. 'leases:' .. replica)
for i = 1, #all, 2 do reap_lease(replica, all[i], all[i + 1]) end
replica_gone(replica, ARGV[2] == '1' and 'lost' or 'left')
wake()
return #all / 2
