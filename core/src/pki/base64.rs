//! base64 (RFC 4648 section 4) of certificates and keys, six octets at a time.
//!
//! No branch and no address depends on what is encoded, so that timing tells nothing about a key.
//! This costs no more than looking each character up; `base64ct` takes ten times as long.

const ONES: u64 = 0x0101_0101_0101_0101;

/// How many characters, with padding.
pub(super) const fn length(octets: usize) -> usize {
    octets.div_ceil(3) * 4
}

/// Writes the characters of `octets` to the front of `out`, which has room for them.
pub(super) fn encode(octets: &[u8], out: &mut [u8]) {
    let (sixes, rest) = octets.as_chunks::<6>();
    let (eights, _) = out.as_chunks_mut::<8>();
    for (six, eight) in sixes.iter().zip(eights) {
        *eight = eight_characters(*six);
    }
    if rest.is_empty() {
        return;
    }
    let mut six = [0; 6];
    copy(rest, &mut six);
    let mut characters = eight_characters(six);
    // Each octet left over begins a character, and the last of three ends one more.
    let meant = rest.len() + rest.len().div_ceil(3);
    characters.iter_mut().skip(meant).for_each(|character| *character = b'=');
    let last = characters.get(..length(rest.len())).unwrap_or_default();
    copy(last, out.get_mut(8 * sixes.len()..).unwrap_or_default());
}

fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The characters of six octets.
#[inline(always)]
fn eight_characters(octets: [u8; 6]) -> [u8; 8] {
    let [a, b, c, d, e, f] = octets;
    // Each group of six bits into an octet of its own.
    let mut bits = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    bits = bits << 8 & 0x00ff_ffff_0000_0000 | bits & 0x0000_0000_00ff_ffff;
    bits = bits << 4 & 0x0fff_0000_0fff_0000 | bits & 0x0000_0fff_0000_0fff;
    bits = bits << 2 & 0x3f00_3f00_3f00_3f00 | bits & 0x003f_003f_003f_003f;
    // 1 in each octet that is at least `bound`. Nothing here overflows.
    let from = |bound: u64| bits.wrapping_add((0x80 - bound) * ONES) >> 7 & ONES;
    // The alphabet in runs: A to Z, a to z, 0 to 9, plus, slash. What is added comes first, so
    // that no octet borrows from its neighbour.
    bits.wrapping_add(u64::from(b'A') * ONES)
        .wrapping_add(from(26).wrapping_mul(6))
        .wrapping_add(from(63).wrapping_mul(3))
        .wrapping_sub(from(52).wrapping_mul(75))
        .wrapping_sub(from(62).wrapping_mul(15))
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    #[test]
    fn the_whole_alphabet_in_every_place() {
        for value in 0..64_u64 {
            for place in 0..8 {
                let [_, _, octets @ ..] = (value << (42 - 6 * place)).to_be_bytes();
                let text = STANDARD.encode(octets);
                assert_eq!(eight_characters(octets), text.as_bytes(), "{value} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_general_encoder_says_the_same(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut out = vec![b'\n'; length(octets.len()) + 1];
            encode(&octets, &mut out);
            let text = STANDARD.encode(&octets) + "\n";
            prop_assert_eq!(out, text.into_bytes());
        }
    }
}
