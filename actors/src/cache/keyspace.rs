//! What is kept in Redis, under which names, and the scripts that change it in one step.
//!
//! | key | holds |
//! |---|---|
//! | `safire:K` | the value of `K`: sealed bytes, or the hash of a dict |
//! | `safire:K:json` | the sealed rendering of the dict `K` |
//! | `safire:K:lease` | who may write `K`: a token that the reader who missed was given |
//! | `safire:epoch` | the latest invalidation of everything, for as long as a token from before it lives |
//!
//! An invalidation removes all three, so that whoever loaded before it holds a token that no longer
//! counts and what they write is refused. A token is random: one from before a flush counts no more
//! than one from before an invalidation.
//!
//! One of everything takes many steps, and a key may come and go between them. It changes the epoch first, which is
//! part of every token: whoever loaded before it is refused, wherever the steps are.

use std::sync::LazyLock;

use bytes::Bytes;
use redis::Script;

/// What every key begins with.
pub(super) const PREFIX: &str = "safire:";

/// Keys under the prefix that are not the cache's to clear: counters of rate limits.
pub(super) const NOT_CACHED: &str = "safire:limit";

/// The key of the epoch.
pub(super) const EPOCH: &str = "safire:epoch";

/// Where invalidations are announced, as `<origin> <key>`; `*` is every key.
pub(super) const CHANNEL: &str = "safire:invalidate";

/// The names of one cached key.
pub(super) struct Names {
    pub value: String,
    pub json: String,
    pub lease: String,
}

impl Names {
    pub fn of(key: &str) -> Self {
        let value = format!("{PREFIX}{key}");
        Self { json: format!("{value}:json"), lease: format!("{value}:lease"), value }
    }
}

/// A token outlives every load: the deadline of a job of the database is shorter.
pub(super) const LEASE_MS: usize = 120_000;

/// KEYS: sealed value, lease, epoch, [hash]; ARGV: new token, its life.
/// Returns `value`, the sealed bytes, ms left; or `fields`, the hash, ms left; or `lease`, the token.
/// What has another type than it should is as good as absent.
pub(super) static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local value = redis.pcall('GET', KEYS[1])
        if type(value) == 'string' then
            return {'value', value, redis.call('PTTL', KEYS[1])}
        end
        if KEYS[4] then
            local fields = redis.pcall('HGETALL', KEYS[4])
            if not fields.err and #fields > 0 then
                return {'fields', fields, redis.call('PTTL', KEYS[4])}
            end
        end
        local lease = redis.pcall('GET', KEYS[2])
        if type(lease) ~= 'string' then
            lease = ARGV[1]
            redis.call('SET', KEYS[2], lease, 'PX', ARGV[2])
        end
        local epoch = redis.pcall('GET', KEYS[3])
        return {'lease', lease .. (type(epoch) == 'string' and epoch or '')}
        ",
    )
});

/// KEYS: sealed value, lease, epoch, [hash]; ARGV: token, sealed value, ms to live, [field, text]…
/// Returns 1 when it was kept, 0 when an invalidation came between.
pub(super) static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local lease = redis.pcall('GET', KEYS[2])
        local epoch = redis.pcall('GET', KEYS[3])
        if type(lease) ~= 'string' then return 0 end
        if lease .. (type(epoch) == 'string' and epoch or '') ~= ARGV[1] then return 0 end
        if KEYS[4] then
            redis.call('DEL', KEYS[4])
            for first = 4, #ARGV, 1000 do
                redis.call('HSET', KEYS[4], unpack(ARGV, first, math.min(first + 999, #ARGV)))
            end
            redis.call('PEXPIRE', KEYS[4], ARGV[3])
        end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        redis.call('DEL', KEYS[2])
        return 1
        ",
    )
});

const SEAL: &str = "safire1";

/// The value with its length and fingerprint before it, so that what comes back cut short or was
/// never ours is noticed.
pub(super) fn seal(value: &[u8]) -> Vec<u8> {
    let mut sealed = format!("{SEAL} {} {:016x}\n", value.len(), fingerprint(value)).into_bytes();
    sealed.extend_from_slice(value);
    sealed
}

/// The value in a sealed one; `None` when it is not what was sealed.
pub(super) fn unseal(sealed: Vec<u8>) -> Option<Bytes> {
    let end = sealed.iter().take(64).position(|&byte| byte == b'\n')?;
    let (head, value) = (&sealed[..end], &sealed[end + 1..]);
    let expected = format!("{SEAL} {} {:016x}", value.len(), fingerprint(value));
    let genuine = head == expected.as_bytes();
    genuine.then(|| Bytes::from(sealed).slice(end + 1..))
}

/// FNV-1a (Fowler, Noll, Vo): against accidents, not against somebody who may write to Redis.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_fnv_1a() {
        assert_eq!(fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn what_was_sealed_comes_back_and_nothing_else() {
        let value = "{\"name\":\"Ana\"}\n".as_bytes();
        let sealed = seal(value);
        assert_eq!(unseal(sealed.clone()).unwrap(), value);
        for cut in 0..sealed.len() {
            assert_eq!(unseal(sealed[..cut].to_vec()), None, "cut at {cut}");
        }
        for garbage in [&b"{}"[..], b"", b"\xff\xfe\n", b"safire1 0 0\n", b"safire1 2 \n{}"] {
            assert_eq!(unseal(garbage.to_vec()), None, "{garbage:?}");
        }
    }
}
