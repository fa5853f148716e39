-- What is new. ARGV: the numbers that the reader has seen (served, happened, routine, writes) and the epoch they are of, most
-- requests wanted.
-- Returns {NOW, the four numbers, the epoch, requests, happenings, routine ones (newest first), the minutes that
-- changed (which the reader gets one by one: with many accounts they are long), living replicas as a flat list of name and facts}. A reader with numbers of another epoch gets everything: the store
-- has lost its data since.
local have = call('HMGET', P .. 'numbers', 'served', 'happened', 'routine', 'writes', 'epoch')
local epoch, same = have[5] or '', have[5] == ARGV[5]
local n, seen = {}, {}
for i = 1, 4 do
  n[i] = tonumber(have[i] or 0)
  seen[i] = same and tonumber(ARGV[i]) or 0
end

local function new(list, i, most)
  local count = math.min(n[i] - seen[i], most)
  return count > 0 and call('LRANGE', P .. list, 0, count - 1) or {}
end

local minutes = {}
if n[4] > seen[4] then
  local this = math.floor(NOW / 60000)
  for minute = this - MINUTES + 1, this do
    local key = P .. 'm:' .. string.format('%.0f', minute)
    local changed = call('HGET', key, '#')
    if changed and tonumber(changed) > seen[4] then minutes[#minutes + 1] = minute end
  end
end

local here = {}
for _, replica in ipairs(call('ZRANGEBYSCORE', P .. 'here', NOW, '+inf')) do
  here[#here + 1] = replica
  here[#here + 1] = call('HGET', P .. 'facts', replica) or ''
end
return { NOW, n[1], n[2], n[3], n[4], epoch, new('served', 1, tonumber(ARGV[6])), new('happened', 2, 100000),
  new('routine', 3, 100000), minutes, here }
