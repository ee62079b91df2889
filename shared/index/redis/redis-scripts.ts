/**
 * The scripts that the index runs in Redis. Each takes what it needs by KEYS and ARGV alone.
 *
 * An entry is a hash: `g` the generation, `<epoch nonce>/<random>`; `v` the cached answer, absent when not known;
 * `d:<token>` one for each mutation under way, with the time (of Redis) at which the mark lapses. Only `v` of an entry
 * whose generation belongs to the epoch and that has no live mark may be read. Generations are random, never counted:
 * after a flush none of them can come again, so whatever began before it is refused.
 */
import { createHash } from 'node:crypto';

export interface RedisScript {
  readonly source: string;
  /** SHA-1 of the source, by which Redis knows it. */
  readonly sha: string;
}

function script(source: string): RedisScript {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** is_marked: whether a mutation is under way, forgetting marks that lapsed. generation: g, if it is of the epoch. */
const ENTRY = `${NOW}
local function is_marked(key)
  local found = false
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 2) == 'd:' then
      if tonumber(redis.call('HGET', key, field)) > now then
        found = true
      else
        redis.call('HDEL', key, field)
      end
    end
  end
  return found
end
local function generation(key, epoch)
  local g = redis.call('HGET', key, 'g')
  if g and string.sub(g, 1, #epoch + 1) == epoch .. '/' then return g end
  return false
end
`;

/** KEYS epoch; ARGV identity of the server, new nonce. A server that is not the one of the epoch begins a new one. */
export const OPEN_EPOCH = script(`${NOW}
local epoch = redis.call('HMGET', KEYS[1], 'identity', 'nonce', 'born')
if epoch[1] == ARGV[1] and epoch[2] and epoch[3] then return epoch[2] end
redis.call('HSET', KEYS[1], 'identity', ARGV[1], 'nonce', ARGV[2], 'born', string.format('%.0f', now))
return ARGV[2]
`);

/** KEYS epoch. Makes everything cold: who comes next begins a new epoch. */
export const END_EPOCH = script(`return redis.call('DEL', KEYS[1])`);

/**
 * KEYS epoch, entries; ARGV nonce, random, cold time, life of a leave to fill. Answers for each entry `=<value>` when
 * it is known, `?<generation>` for a fill, or an empty text when nothing may be read or filled in now; no answer at all
 * when the epoch is another. Reads a whole entry by one command: this script is run more often than all others.
 */
export const READ_ENTRIES = script(`${NOW}
local epoch = redis.call('HMGET', KEYS[1], 'nonce', 'born')
if epoch[1] ~= ARGV[1] then return {} end
local is_warm = now >= tonumber(epoch[2]) + tonumber(ARGV[3])
local of_epoch = ARGV[1] .. '/'
local answer = {}
for i = 2, #KEYS do
  local fields = redis.call('HGETALL', KEYS[i])
  local g, v, is_marked
  for at = 1, #fields, 2 do
    local name, value = fields[at], fields[at + 1]
    if name == 'g' then
      if string.sub(value, 1, #of_epoch) == of_epoch then g = value end
    elseif name == 'v' then
      v = value
    elseif tonumber(value) > now then
      is_marked = true
    else
      redis.call('HDEL', KEYS[i], name)
    end
  end
  if is_marked then
    answer[i - 1] = ''
  elseif g and v then
    answer[i - 1] = '=' .. v
  elseif not is_warm then
    answer[i - 1] = ''
  else
    if not g then
      g = of_epoch .. ARGV[2] .. '-' .. i
      redis.call('HDEL', KEYS[i], 'v')
      redis.call('HSET', KEYS[i], 'g', g)
      redis.call('PEXPIRE', KEYS[i], ARGV[4])
    end
    answer[i - 1] = '?' .. g
  end
end
return answer
`);

/** KEYS epoch, entry; ARGV nonce, generation seen before the store was read, value, life. */
export const FILL_ENTRY = script(`
if redis.call('HGET', KEYS[1], 'nonce') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], 'g') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], 'v', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
`);

/**
 * KEYS epoch, entries; ARGV nonce, token, time to live of the mark, life, cold time. The token becomes the generation
 * too, which refuses every fill under way. There is none, which refuses the install, in an epoch that is not warm yet
 * and while another mutation is under way: whichever of the two ends last, the other may have reached the store later.
 * Answers {'cold'} when the epoch is another, else {'marked', …} with `=<value>` for each entry whose answer was
 * known and an empty text for the others.
 */
export const MARK_ENTRIES = script(`${ENTRY}
local epoch = redis.call('HMGET', KEYS[1], 'nonce', 'born')
if epoch[1] ~= ARGV[1] then return {'cold'} end
local is_warm = now >= tonumber(epoch[2]) + tonumber(ARGV[5])
local answer = {'marked'}
for i = 2, #KEYS do
  local is_alone = not is_marked(KEYS[i])
  local v = is_alone and generation(KEYS[i], ARGV[1]) and redis.call('HGET', KEYS[i], 'v')
  answer[i] = v and '=' .. v or ''
  redis.call('HDEL', KEYS[i], 'g', 'v')
  redis.call('HSET', KEYS[i], 'd:' .. ARGV[2], string.format('%.0f', now + tonumber(ARGV[3])))
  if is_warm and is_alone then redis.call('HSET', KEYS[i], 'g', ARGV[1] .. '/' .. ARGV[2]) end
  redis.call('PEXPIRE', KEYS[i], ARGV[4])
end
return answer
`);

/**
 * KEYS epoch, entries; ARGV nonce, token, life, then `=<value>` or an empty text for each entry. Installs what is known
 * where no other mutation began since the mark or is still under way, and takes the mark away. Where the mark is gone
 * (flushed, lapsed, lost in a failover) nothing there can be relied upon: it is forgotten.
 */
export const INSTALL_ENTRIES = script(`${ENTRY}
local is_epoch = redis.call('HGET', KEYS[1], 'nonce') == ARGV[1]
for i = 2, #KEYS do
  local mark = redis.call('HGET', KEYS[i], 'd:' .. ARGV[2])
  redis.call('HDEL', KEYS[i], 'd:' .. ARGV[2])
  if not is_epoch or not mark or tonumber(mark) <= now then
    redis.call('HDEL', KEYS[i], 'g', 'v')
  elseif redis.call('HGET', KEYS[i], 'g') == ARGV[1] .. '/' .. ARGV[2] and not is_marked(KEYS[i])
      and string.sub(ARGV[i + 2], 1, 1) == '=' then
    redis.call('HSET', KEYS[i], 'v', string.sub(ARGV[i + 2], 2))
    redis.call('PEXPIRE', KEYS[i], ARGV[3])
  end
end
return 1
`);

/** KEYS entries; ARGV token. Forgets answers, generations and the token's marks; works in a full Redis too. */
export const FORGET_ENTRIES = script(`
for i = 1, #KEYS do redis.call('HDEL', KEYS[i], 'g', 'v', 'd:' .. ARGV[1]) end
return 1
`);

/**
 * KEYS lease; ARGV token, time to live, token of a holder that is gone (or empty). Takes the lease when it is free,
 * ours already, or that one's; 1 when it is ours now.
 */
export const HOLD_LEASE = script(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and holder ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`);

/** KEYS lease; ARGV token. Gives the lease up when it is still ours. */
export const RELEASE_LEASE = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`);

/** KEYS hint or lease. */
export const GET_HINT = script(`return redis.call('GET', KEYS[1])`);

/** KEYS hint; ARGV value, time to live. */
export const PUT_HINT = script(`
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`);

/** KEYS any. Fails where this account or this server may not write; works in a full Redis. */
export const PROBE = script(`return redis.call('DEL', KEYS[1])`);

/**
 * What a project takes is a hash: `identity` of the server, since one that came back with old data is not to be
 * believed; `total` bytes; for each digest `<size>/<time>/<token>`, the token empty when the blob is linked.
 */
const LEDGER = `${NOW}
local LIFE = 604800000
local function is_known() return redis.call('HGET', KEYS[1], 'identity') == ARGV[1] end
local function put(digest, size, token)
  redis.call('HSET', KEYS[1], digest, size .. '/' .. string.format('%.0f', now) .. '/' .. token)
end
local function add(bytes)
  local total = tonumber(redis.call('HGET', KEYS[1], 'total')) + bytes
  redis.call('HSET', KEYS[1], 'total', string.format('%.0f', total))
end
`;

/** KEYS ledger; ARGV identity, digest, size, quota, token. Answers 'cold', 'held', or the total that leaves no room. */
export const RESERVE_ROOM = script(`${LEDGER}
if not is_known() then return 'cold' end
redis.call('PEXPIRE', KEYS[1], LIFE)
local entry = redis.call('HGET', KEYS[1], ARGV[2])
if entry then
  local size, token = string.match(entry, '^(%d+)/%d+/(.*)$')
  put(ARGV[2], size, token == '' and '' or ARGV[5])
  return 'held'
end
local total = redis.call('HGET', KEYS[1], 'total')
if tonumber(total) + tonumber(ARGV[3]) > tonumber(ARGV[4]) then return total end
put(ARGV[2], ARGV[3], ARGV[5])
add(tonumber(ARGV[3]))
return 'held'
`);

/** KEYS ledger; ARGV identity, then digests each with its size: they are linked. 0: nothing is known of the project. */
export const SETTLE_ROOM = script(`${LEDGER}
if not is_known() then return 0 end
for i = 2, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then add(tonumber(ARGV[i + 1])) end
  put(ARGV[i], ARGV[i + 1], '')
end
return 1
`);

/** KEYS ledger; ARGV identity, digest, token. */
export const RELEASE_ROOM = script(`${LEDGER}
if not is_known() then return 0 end
local size, token = string.match(redis.call('HGET', KEYS[1], ARGV[2]) or '', '^(%d+)/%d+/(.*)$')
if token ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[2])
add(-tonumber(size))
return 1
`);

/** KEYS ledger; ARGV identity. Answers the time (of Redis), whether the project is known (1 or 0), and its total. */
export const LEDGER_STATE = script(`${LEDGER}
if not is_known() then return {string.format('%.0f', now), 0, '0'} end
return {string.format('%.0f', now), 1, redis.call('HGET', KEYS[1], 'total')}
`);

/** KEYS ledger; ARGV identity, then digests each with its size: what a count found and nobody had noted. */
export const COUNT_FOUND = script(`${LEDGER}
if not is_known() then return 0 end
for i = 2, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then
    put(ARGV[i], ARGV[i + 1], '')
    add(tonumber(ARGV[i + 1]))
  end
end
return 1
`);

/** KEYS ledger; ARGV identity. Begins a ledger aside. */
export const BEGIN_LEDGER = script(`
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'identity', ARGV[1], 'total', '0')
redis.call('PEXPIRE', KEYS[1], 3600000)
return 1
`);

/** KEYS ledger, the one that was made aside; ARGV identity. Puts it in place, unless another was there first. */
export const PUBLISH_LEDGER = script(`${LEDGER}
if is_known() then
  redis.call('DEL', KEYS[2])
elseif redis.call('HGET', KEYS[2], 'identity') == ARGV[1] then
  redis.call('RENAME', KEYS[2], KEYS[1])
  redis.call('PEXPIRE', KEYS[1], LIFE)
else
  return 0
end
return 1
`);

/** KEYS ledger; ARGV cursor, how many. Answers the next cursor, and fields with their values. */
export const SCAN_LEDGER = script(`
return redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
`);

/** KEYS ledger; ARGV identity, then digests each with its entry: those that are still that are dropped. */
export const DROP_COUNTED = script(`${LEDGER}
if not is_known() then return 0 end
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
    add(-tonumber(string.match(ARGV[i + 1], '^(%d+)/')))
  end
end
return 1
`);
