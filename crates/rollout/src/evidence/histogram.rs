//! Latencies in fixed buckets: a pure mapping, so that a proxy's counters, the log and a
//! report mean the same.
//!
//! Log-linear, as in `HdrHistogram`: every power of two is split into 64 buckets, so a bucket is
//! at most 1/64 of its value wide and its middle is off by at most 0.8 %. Latencies below
//! 128 us are exact; those above 2^32 us (71 minutes) fall into the last bucket.

/// How many buckets there are.
pub const BUCKETS: usize = 1728;

/// The last bucket.
const LAST: u16 = 1727;
/// Buckets a power of two, and its logarithm.
const SPLIT: u64 = 64;
const SPLIT_BITS: u32 = 6;
/// The largest latency with a bucket of its own, in microseconds.
const CAP_US: u64 = (1 << 32) - 1;

/// The bucket of a latency in microseconds, `0..BUCKETS`.
#[expect(clippy::cast_possible_truncation, reason = "at most 1727, the bucket of CAP_US")]
pub const fn bucket_of(us: u64) -> u16 {
    let us = if us > CAP_US { CAP_US } else { us };
    if us < SPLIT {
        return us as u16;
    }
    let shift = us.ilog2().saturating_sub(SPLIT_BITS);
    let row = (shift as u64).saturating_add(1).saturating_mul(SPLIT);
    row.saturating_add((us >> shift) & (SPLIT.saturating_sub(1))) as u16
}

/// The largest latency in a bucket, in microseconds. Buckets that do not exist count as the
/// last one.
pub const fn upper_us(bucket: u16) -> u64 {
    let (start, width) = span(bucket);
    start.saturating_add(width).saturating_sub(1)
}

/// The smallest latency of a bucket and how many microseconds it spans.
const fn span(bucket: u16) -> (u64, u64) {
    let bucket = if bucket > LAST { LAST as u64 } else { bucket as u64 };
    let row = bucket >> SPLIT_BITS;
    if row == 0 {
        return (bucket, 1);
    }
    let shift = row.saturating_sub(1);
    ((SPLIT.saturating_add(bucket & (SPLIT.saturating_sub(1)))) << shift, 1 << shift)
}

/// The latency in microseconds that a share `q` (0..=1) of requests does not exceed, right
/// within 0.8 %; `None` without requests or for a `q` outside its range.
///
/// `sparse` lists (bucket, requests) in any order.
pub fn quantile_us(sparse: &[(u16, u64)], q: f64) -> Option<u64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let mut ascending = sparse.to_vec();
    ascending.sort_unstable_by_key(|&(bucket, _)| bucket);
    let total: u128 = ascending.iter().map(|&(_, count)| u128::from(count)).sum();
    let rank = rank(q, total);
    let mut seen: u128 = 0;
    ascending.into_iter().find_map(|(bucket, count)| {
        seen = seen.saturating_add(u128::from(count));
        (count > 0 && seen >= rank).then(|| {
            let (start, width) = span(bucket);
            start.saturating_add(width >> 1)
        })
    })
}

/// Which request of `total`, counted from the fastest, stands for the share `q`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "q is within 0..=1; a rank is off by one only beyond 2^53 requests"
)]
fn rank(q: f64, total: u128) -> u128 {
    ((q * total as f64).ceil() as u128).clamp(1, total.max(1))
}

/// Adds the requests of `from` to `into`, which is ascending with each bucket once afterwards.
pub fn merge(into: &mut Vec<(u16, u64)>, from: &[(u16, u64)]) {
    into.extend_from_slice(from);
    into.sort_unstable_by_key(|&(bucket, _)| bucket);
    into.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(next.1);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_begins_where_the_one_before_it_ends() {
        let mut next = 0;
        for bucket in 0..=LAST {
            let (start, _) = span(bucket);
            assert_eq!(start, next);
            assert_eq!(bucket_of(start), bucket);
            assert_eq!(bucket_of(upper_us(bucket)), bucket);
            next = upper_us(bucket) + 1;
        }
        assert_eq!(next, CAP_US + 1);
        assert_eq!(usize::from(LAST) + 1, BUCKETS);
        assert_eq!(bucket_of(u64::MAX), LAST);
    }

    #[test]
    fn a_quantile_is_right_within_one_percent() {
        for us in [1, 63, 64, 127, 128, 129, 999, 200_000, 1_000_003, 3_600_000_000] {
            let shown = quantile_us(&[(bucket_of(us), 1)], 0.5).unwrap();
            assert!(shown.abs_diff(us) * 100 <= us, "{us} shown as {shown}");
        }
    }

    #[test]
    fn quantiles_of_merged_counts_are_those_of_all_requests() {
        let mut all = vec![(bucket_of(10), 90)];
        merge(&mut all, &[(bucket_of(100), 9), (bucket_of(50), 0), (bucket_of(10), 0)]);
        merge(&mut all, &[(bucket_of(127), 1)]);
        let shown: Vec<_> = [0.0, 0.5, 0.9, 0.91, 0.99, 1.0].map(|q| quantile_us(&all, q)).into();
        assert_eq!(shown, [10, 10, 10, 100, 100, 127].map(Some));
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn nothing_counted_and_shares_that_are_none_have_no_quantile() {
        assert_eq!(quantile_us(&[], 0.5), None);
        assert_eq!(quantile_us(&[(3, 0)], 0.5), None);
        for q in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            assert_eq!(quantile_us(&[(3, 1)], q), None);
        }
    }
}
