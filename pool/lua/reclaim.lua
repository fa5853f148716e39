-- Count a lease that its replica still holds though the store holds it no more: the replica was taken for dead,
-- or the data were lost. The account may be over its limit for that while; it gets nothing new.
-- ARGV: replica, lease, account, lane. Returns 1 where it was missing.
-- What the call finds says nothing about the account any more (no generation is as high): it may have been
-- reinstated meanwhile.
local leases = P .. 'leases:' .. ARGV[1]
local a = load(ARGV[3])
if not a or call('HEXISTS', leases, ARGV[2]) == 1 then return 0 end
put(a, 'inf', a.inf + 1)
call('HSET', leases, ARGV[2], a.id .. '\n' .. ARGV[4] .. '\n' .. 999999999999)
place(a)
return 1
