-- Ids of an owner's batches, newest first. ARGV: owner ('' for all), the id that they come after ('' for the first), how many.
-- Returns {how many there are in all, ids} or {-1, {}} where that id is not known.
local set = ARGV[1] == '' and P .. 'all' or P .. 'of:' .. ARGV[1]
local from = 0
if ARGV[2] ~= '' then
  local rank = call('ZREVRANK', set, ARGV[2])
  if not rank then return { -1, {} } end
  from = rank + 1
end
return { call('ZCARD', set), call('ZREVRANGE', set, from, from + tonumber(ARGV[3]) - 1) }
