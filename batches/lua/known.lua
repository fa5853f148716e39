-- What stands in the way of a new batch, without taking it in.
-- ARGV: owner, idempotency key ('' for none), fingerprint, most unfinished ones of the owner.
-- Returns what `obstacle` says.
return obstacle(ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
