-- In front of both scripts, after NOW. KEYS[1] is the prefix; all keys share its hash tag. Times are in milliseconds.
--
--   served          list of the last requests, newest first; each entry is its time, a space, and JSON
--   happened        the same of what happened; `routine` of what happens all day
--   happened:<id>   the same for one account, of both kinds
--   numbers         hash: how many entries each list was ever given; `writes`: how often anything was written;
--                   `epoch`: differs after the store has lost its data
--   m:<minute>      hash of counts in one minute since 1970; its field `#` is the number of the write that changed it last
--   written:<name>  the last write of one collector, so that a repeated one counts once
--   here            zset of replicas by the time until which they are taken for alive; facts: hash of what they tell
local P = KEYS[1]
local call = redis.call
local MINUTES = 90
