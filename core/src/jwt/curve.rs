//! Whether a point lies on its NIST curve (SP 800-186 section 3.2.1).
//!
//! `ring` refuses other points when it verifies, but says only "bad signature". Looking once when
//! a key set arrives tells a broken key from a forged token. Nothing here is secret, so the
//! arithmetic is the simplest there is: doubling and adding, bit by bit.

/// A prime curve `y² = x³ - 3x + b` over `p`, limbs from least to most significant.
pub(super) struct Curve<const LIMBS: usize> {
    p: [u64; LIMBS],
    b: [u64; LIMBS],
}

pub(super) const P256: Curve<4> = Curve {
    p: [0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001],
    b: [0x3bce_3c3e_27d2_604b, 0x651d_06b0_cc53_b0f6, 0xb3eb_bd55_7698_86bc, 0x5ac6_35d8_aa3a_93e7],
};

pub(super) const P384: Curve<6> = Curve {
    p: [
        0x0000_0000_ffff_ffff,
        0xffff_ffff_0000_0000,
        0xffff_ffff_ffff_fffe,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
    ],
    b: [
        0x2a85_c8ed_d3ec_2aef,
        0xc656_398d_8a2e_d19d,
        0x0314_088f_5013_875a,
        0x181d_9c6e_fe81_4112,
        0x988e_056b_e3f8_2d19,
        0xb331_2fa7_e23e_e7e4,
    ],
};

impl<const LIMBS: usize> Curve<LIMBS> {
    /// Whether the big-endian coordinates are below `p` and fulfil the equation of the curve.
    pub(super) fn holds(&self, x: &[u8], y: &[u8]) -> bool {
        let (Some(x), Some(y)) = (self.element(x), self.element(y)) else {
            return false;
        };
        let mut minus_three = self.p;
        // The lowest limb of both primes is far above 3, so nothing is borrowed.
        if let Some(low) = minus_three.first_mut() {
            *low -= 3;
        }
        let right = self.mul(&self.add(&self.mul(&x, &x), &minus_three), &x);
        self.mul(&y, &y) == self.add(&right, &self.b)
    }

    fn element(&self, bytes: &[u8]) -> Option<[u64; LIMBS]> {
        let mut limbs = [0; LIMBS];
        let (chunks, rest) = bytes.as_chunks::<8>();
        if chunks.len() != LIMBS || !rest.is_empty() {
            return None;
        }
        for (limb, chunk) in limbs.iter_mut().zip(chunks.iter().rev()) {
            *limb = u64::from_be_bytes(*chunk);
        }
        let (_, below) = subtract(&limbs, &self.p);
        below.then_some(limbs)
    }

    fn add(&self, a: &[u64; LIMBS], b: &[u64; LIMBS]) -> [u64; LIMBS] {
        let mut sum = [0; LIMBS];
        let mut carry = false;
        for (out, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
            let (partial, first) = a.overflowing_add(*b);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *out = total;
            carry = first || second;
        }
        let (reduced, borrowed) = subtract(&sum, &self.p);
        if borrowed && !carry { sum } else { reduced }
    }

    fn mul(&self, a: &[u64; LIMBS], b: &[u64; LIMBS]) -> [u64; LIMBS] {
        let mut product = [0; LIMBS];
        for limb in b.iter().rev() {
            for bit in (0..64).rev() {
                product = self.add(&product, &product);
                if (limb >> bit) & 1 == 1 {
                    product = self.add(&product, a);
                }
            }
        }
        product
    }
}

/// `a - b` modulo 2^(64 LIMBS), and whether `a` was below `b`.
fn subtract<const LIMBS: usize>(a: &[u64; LIMBS], b: &[u64; LIMBS]) -> ([u64; LIMBS], bool) {
    let mut difference = [0; LIMBS];
    let mut borrow = false;
    for (out, (a, b)) in difference.iter_mut().zip(a.iter().zip(b)) {
        let (partial, first) = a.overflowing_sub(*b);
        let (total, second) = partial.overflowing_sub(u64::from(borrow));
        *out = total;
        borrow = first || second;
    }
    (difference, borrow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{self, EcdsaKeyPair, KeyPair as _};

    #[test]
    fn holds_for_generated_keys_and_for_no_neighbour() {
        let rng = SystemRandom::new();
        for _ in 0..8 {
            for (alg, wide) in [
                (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, false),
                (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, true),
            ] {
                let document = EcdsaKeyPair::generate_pkcs8(alg, &rng).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(alg, document.as_ref(), &rng).unwrap();
                let point = &pair.public_key().as_ref()[1..];
                let check = |point: &[u8]| {
                    let (x, y) = point.split_at(point.len() / 2);
                    if wide { P384.holds(x, y) } else { P256.holds(x, y) }
                };
                assert!(check(point));
                let mut other = point.to_vec();
                *other.last_mut().unwrap() ^= 1;
                assert!(!check(&other));
                other.copy_from_slice(point);
                other[0] ^= 1;
                assert!(!check(&other));
                assert!(!check(&vec_of(0, point.len())));
                assert!(!check(&vec_of(0xff, point.len())));
                assert!(!check(&point[2..]));
                // A coordinate is as long as the field, not longer by an octet or by eight.
                for more in [1, 8] {
                    let (x, y) = point.split_at(point.len() / 2);
                    let longer = [x, &vec_of(0, more), y, &vec_of(0, more)].concat();
                    assert!(!check(&longer));
                }
            }
        }
    }

    fn vec_of(byte: u8, len: usize) -> alloc::vec::Vec<u8> {
        alloc::vec![byte; len]
    }
}
