-- Write down what one collector has gathered.
--
-- ARGV: collector, number of its write, replica, its facts, ms that they hold, requests kept, happenings kept, routine ones
-- kept, kept for an account; then three counts, and as many groups of each:
--   requests     age in ms, entry            oldest first
--   happenings   age in ms, list, account, entry
--   counts       age in ms, field, how many
-- Returns 1, or 0 where this write was written before.
local at = 14

local function stamped(age, entry) return string.format('%.0f', NOW - tonumber(age)) .. ' ' .. entry end

local function pushed(list, entries, keep)
  if #entries == 0 then return end
  call('LPUSH', P .. list, unpack(entries))
  call('LTRIM', P .. list, 0, keep - 1)
  call('HINCRBY', P .. 'numbers', list, #entries)
end

local function living()
  for _, gone in ipairs(call('ZRANGEBYSCORE', P .. 'here', '-inf', '(' .. NOW)) do
    call('ZREM', P .. 'here', gone)
    call('HDEL', P .. 'facts', gone)
  end
  if tonumber(ARGV[5]) > 0 then
    call('ZADD', P .. 'here', NOW + ARGV[5], ARGV[3])
    call('HSET', P .. 'facts', ARGV[3], ARGV[4])
  else
    call('ZREM', P .. 'here', ARGV[3])
    call('HDEL', P .. 'facts', ARGV[3])
  end
end

living()
local requests, happenings, counts = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
if requests + happenings + counts == 0 then return 1 end
local last = tonumber(call('GET', P .. 'written:' .. ARGV[1]) or 0)
if last >= tonumber(ARGV[2]) then return 0 end
call('SET', P .. 'written:' .. ARGV[1], ARGV[2], 'EX', MINUTES * 60)
local write = call('HINCRBY', P .. 'numbers', 'writes', 1)
call('HSETNX', P .. 'numbers', 'epoch', ARGV[1] .. ':' .. ARGV[2])

local served = {}
for i = 1, requests do
  served[i] = stamped(ARGV[at], ARGV[at + 1])
  at = at + 2
end
pushed('served', served, tonumber(ARGV[6]))

local lists = { happened = {}, routine = {} }
for _ = 1, happenings do
  local list, account = lists[ARGV[at + 1]], ARGV[at + 2]
  local entry = stamped(ARGV[at], ARGV[at + 3])
  list[#list + 1] = entry
  if account ~= '' then
    local own = P .. 'happened:' .. account
    call('LPUSH', own, entry)
    call('LTRIM', own, 0, tonumber(ARGV[9]) - 1)
    call('EXPIRE', own, tonumber(ARGV[10]))
  end
  at = at + 4
end
pushed('happened', lists.happened, tonumber(ARGV[7]))
pushed('routine', lists.routine, tonumber(ARGV[8]))

local touched = {}
for _ = 1, counts do
  local minute = math.floor((NOW - tonumber(ARGV[at])) / 60000)
  local key = P .. 'm:' .. string.format('%.0f', minute)
  call('HINCRBY', key, ARGV[at + 1], ARGV[at + 2])
  touched[key] = minute
  at = at + 3
end
for key, minute in pairs(touched) do
  call('HSET', key, '#', write)
  call('PEXPIRE', key, math.max(1, (minute + MINUTES + 1) * 60000 - NOW))
end
return 1
