-- A page of accounts. ARGV: offset, limit. Returns {now, number of accounts, one flat list per account,
-- number of living replicas}.
local WANTED = { 'rev', 'mc', 'mi', 'on', 'off', 'dr', 'op', 'q', 'qs', 'cu', 'cr', 'lc', 'inf', 'lp', 'seq', 'ho', 'sh',
  'cf', 'ej', 'tl', 'ss', 'eg', 'lanes', 'of', 'pv', 'pb', 'po', 'pf', 'ca', 'ra', 'ro', 'rf' }
local first, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local rows = {}
local ids = limit > 0 and call('ZRANGE', P .. 'accounts', first, first + limit - 1) or {}
for _, id in ipairs(ids) do
  rows[#rows + 1] = { id, call('HMGET', P .. 'a:' .. id, unpack(WANTED)) }
end
return { NOW, call('ZCARD', P .. 'accounts'), rows, call('ZCOUNT', P .. 'replicas', NOW, '+inf') }
