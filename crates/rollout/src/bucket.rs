//! Which side of a split a user is on: one hash for the proxy and for flags.
//!
//! A bucket is `murmur3_x86_32(cbor_text(salt + ":" + id), seed 0)`. It is compared with
//! `ceil(w * 2^32 / 10^9)` for a slice that ends at `w` of 10^9: no floats, no modulo, no
//! rounding. A slice that grows keeps everyone it had, so raising a weight only ever adds
//! users.

use crate::units::Weight;

/// Where in 0..2^32 the user `id` falls under `salt`.
///
/// The text is hashed in its CBOR encoding (RFC 8949, major type 3), as flagd's v3
/// `fractional` does, so that flags agree with the proxy bit for bit.
pub fn bucket(salt: &str, id: &str) -> u32 {
    let length = salt.len().saturating_add(id.len()).saturating_add(1);
    let mut hash = Murmur3::new();
    hash.text_header(length);
    hash.write(salt.as_bytes());
    hash.write(b":");
    hash.write(id.as_bytes());
    hash.finish()
}

/// True when a user in `bucket` meets the canary at this `weight`.
///
/// Monotone: a bucket inside at one weight is inside at every larger one.
pub fn meets_canary(bucket: u32, weight: Weight) -> bool {
    u64::from(bucket) < slice_end(weight)
}

/// The first bucket outside a slice of `weight`: `ceil(weight * 2^32 / 100 000)`.
fn slice_end(weight: Weight) -> u64 {
    (u64::from(weight.steps()) << 32).div_ceil(100_000)
}

/// Streaming `MurmurHash3_x86_32` with seed 0 (Austin Appleby, public domain algorithm).
struct Murmur3 {
    state: u32,
    tail: [u8; 4],
    tail_length: usize,
    total: u32,
}

impl Murmur3 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;

    const fn new() -> Self {
        Self { state: 0, tail: [0; 4], tail_length: 0, total: 0 }
    }

    /// The CBOR head of a text string of `length` bytes, in its shortest form.
    fn text_header(&mut self, length: usize) {
        let bytes = (length as u64).to_be_bytes();
        let [.., b4, b5, b6, b7] = bytes;
        match length {
            0..=23 => self.write(&[0x60 | b7]),
            24..=0xff => self.write(&[0x78, b7]),
            0x100..=0xffff => self.write(&[0x79, b6, b7]),
            0x1_0000..=0xffff_ffff => self.write(&[0x7a, b4, b5, b6, b7]),
            _ => {
                self.write(&[0x7b]);
                self.write(&bytes);
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(slot) = self.tail.get_mut(self.tail_length) {
                *slot = byte;
            }
            self.tail_length = self.tail_length.wrapping_add(1);
            self.total = self.total.wrapping_add(1);
            if self.tail_length == 4 {
                let mixed = Self::scramble(u32::from_le_bytes(self.tail));
                self.state =
                    (self.state ^ mixed).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
                self.tail = [0; 4];
                self.tail_length = 0;
            }
        }
    }

    const fn scramble(word: u32) -> u32 {
        word.wrapping_mul(Self::C1).rotate_left(15).wrapping_mul(Self::C2)
    }

    fn finish(self) -> u32 {
        let mut hash = self.state;
        if self.tail_length > 0 {
            hash ^= Self::scramble(u32::from_le_bytes(self.tail));
        }
        hash ^= self.total;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text as CBOR, written the long way, for the comparison below.
    fn cbor_text(text: &str) -> Vec<u8> {
        let n = text.len();
        let mut out = match n {
            0..=23 => vec![0x60 + n as u8],
            24..=255 => vec![0x78, n as u8],
            _ => vec![0x79, (n >> 8) as u8, n as u8],
        };
        out.extend_from_slice(text.as_bytes());
        out
    }

    #[test]
    fn buckets_agree_with_the_published_murmur3() {
        for length in (0..70).chain([255, 256, 300]) {
            let id: String = (0..length).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
            let expected =
                murmur3::murmur3_32(&mut cbor_text(&format!("salt:{id}")).as_slice(), 0).unwrap();
            assert_eq!(bucket("salt", &id), expected, "id of {length} bytes");
        }
    }

    #[test]
    fn raising_the_weight_over_100_000_users_moves_nobody_back_and_keeps_the_share() {
        let buckets: Vec<u32> =
            (0..100_000).map(|n| bucket("analyzer-7", &format!("user-{n}"))).collect();
        let mut before: Vec<bool> = vec![false; buckets.len()];
        for percent in [1, 10, 25, 50, 100] {
            let weight = Weight::percent(percent);
            let now: Vec<bool> = buckets.iter().map(|b| meets_canary(*b, weight)).collect();
            let changed_back = before.iter().zip(&now).filter(|(was, is)| **was && !**is).count();
            assert_eq!(changed_back, 0, "users who changed back at {weight}");
            let inside = now.iter().filter(|inside| **inside).count() as f64;
            let (n, p) = (buckets.len() as f64, weight.fraction());
            let five_sigma = 5.0 * (n * p * (1.0 - p)).sqrt();
            assert!((inside - n * p).abs() <= five_sigma, "{inside} of {n} at {weight}");
            println!("{weight}: {inside} of {n} users, 0 changed back (5 sigma = {five_sigma:.0})");
            before = now;
        }
    }

    #[test]
    fn the_ends_of_the_scale_are_exact() {
        assert!(!meets_canary(0, Weight::ZERO));
        assert!(meets_canary(u32::MAX, Weight::FULL));
        assert!(!meets_canary(u32::MAX, Weight::from_steps(99_999).unwrap()));
    }
}
