-- A worker goes, or is known to have died: all its tasks come back. ARGV: worker, 1 where their runs count as tries, keep in ms.
-- Returns their number.
local worker, counted, keep = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local number = call('HLEN', P .. 'claims:' .. worker)
while not strip(worker, counted, SOME, keep) do end
return number
