-- Admit one request where every one of its windows has room, or count nothing at all. Needs NOW (clock.lua).
--
-- KEYS: a sorted set a window: the admissions that it holds, by time; one hash tag.
-- ARGV: the admission's own id, until when it is wanted (0: always), then for each window how many it holds and its
-- length in microseconds.
-- Returns {1 or 0, NOW, then for each window how many it holds now and the microseconds until it holds one less (or,
-- where it refuses, until it has room again)}; or {-1, NOW} where nobody waits for the answer any more: a command may
-- have lain unread for as long as the server stood still.
--
-- A window is the time (NOW - length, NOW], so that of any moments that are less than its length apart no more
-- than `limit` are admitted. A set never has more members than its limit, and goes by itself.
local call = redis.call
local id, wanted_until = ARGV[1], tonumber(ARGV[2])
local windows, held, full = {}, false, false

-- Lua writes large numbers with an exponent, and so not exactly.
local function exact(number)
  return string.format('%.0f', number)
end

-- The time of the window's admission at that place, the oldest being 0.
local function at(window, place)
  return tonumber(call('ZRANGEBYSCORE', window.key, window.open, '+inf', 'WITHSCORES', 'LIMIT', place, 1)[2])
end

for i, key in ipairs(KEYS) do
  local limit, length = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local newest = tonumber(call('ZRANGE', key, -1, -1, 'WITHSCORES')[2])
  if newest and newest > NOW then
    -- The server's clock was set back. What lies ahead happened at the latest now; else nobody could tell for how
    -- long it counts.
    for _, member in ipairs(call('ZRANGEBYSCORE', key, '(' .. exact(NOW), '+inf')) do
      call('ZADD', key, 'XX', exact(NOW), member)
    end
  end
  local window = { key = key, limit = limit, length = length, open = '(' .. exact(NOW - length) }
  window.used = call('ZCOUNT', key, window.open, '+inf')
  -- The client repeats a command whose answer was lost: the same id is the same admission.
  held = held or call('ZSCORE', key, id) ~= false
  full = full or window.used >= limit
  windows[i] = window
end

if not held and wanted_until > 0 and NOW > wanted_until then
  return { -1, NOW }
end
local admitted = held or not full
local answer = { admitted and 1 or 0, NOW }
for _, window in ipairs(windows) do
  if admitted and not held then
    call('ZREMRANGEBYSCORE', window.key, '-inf', exact(NOW - window.length))
    call('ZADD', window.key, exact(NOW), id)
    call('PEXPIRE', window.key, math.ceil(window.length / 1000) + 1)
    window.used = window.used + 1
  end
  local last = math.max(0, window.used - window.limit)
  answer[#answer + 1] = window.used
  answer[#answer + 1] = window.used > 0 and at(window, last) + window.length - NOW or 0
end
return answer
