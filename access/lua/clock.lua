-- Sets NOW: the store's time in microseconds, a whole number that a double holds exactly.
local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
