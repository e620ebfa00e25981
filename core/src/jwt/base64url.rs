//! base64url as RFC 7515 section 2 wants it: no padding, no white space, one spelling per value.

use alloc::vec;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What the octets of the alphabet stand for. All others have every bit set: wherever such a value
/// is shifted to in a group of four, some are left above its 24 bits.
const VALUES: [u32; 256] = values();
const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "const; none is out of range")]
const fn values() -> [u32; 256] {
    let mut values = [u32::MAX; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u32;
        value += 1;
    }
    values
}

/// Decodes `text`; `None` for padding, foreign characters, an impossible length, or unused bits
/// that are not zero (those would give several spellings of one signature).
///
/// The characters of a token are a good part of what is done about it before its signature: this
/// takes half as long as the general decoder.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let (groups, rest) = text.as_bytes().as_chunks::<4>();
    let (unfinished, tail_octets) = match rest {
        [] => (0, 0),
        [a, b] => (bits([*a, *b, b'A', b'A']), 1),
        [a, b, c] => (bits([*a, *b, *c, b'A']), 2),
        _ => return None,
    };
    let mut out = vec![0; 3 * groups.len() + tail_octets];
    let (whole, tail) = out.as_chunks_mut::<3>();
    let mut seen = unfinished;
    for (to, group) in whole.iter_mut().zip(groups) {
        let bits = bits(*group);
        seen |= bits;
        [_, to[0], to[1], to[2]] = bits.to_be_bytes();
    }
    let [_, first, second, third] = unfinished.to_be_bytes();
    for (to, octet) in tail.iter_mut().zip([first, second]) {
        *to = octet;
    }
    // Behind the octets that are left over there is nothing.
    let unused = if tail_octets == 1 { second } else { third };
    (seen >> 24 == 0 && unused == 0).then_some(out)
}

/// The 24 bits of four characters; more when one of them is foreign.
#[inline(always)]
fn bits([a, b, c, d]: [u8; 4]) -> u32 {
    let value = |octet: u8| VALUES.get(usize::from(octet)).copied().unwrap_or(u32::MAX);
    value(a) << 18 | value(b) << 12 | value(c) << 6 | value(d)
}

/// Encodes without padding.
pub(crate) fn encode(bytes: &[u8]) -> alloc::string::String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_spelling_only() {
        assert_eq!(decode("A-z_4ME").unwrap(), [3, 236, 255, 224, 193]);
        assert_eq!(decode("").unwrap(), [0; 0]);
        for text in ["Zg==", "Zh", "A", "Zm9v\n", " Zm9v", "A+z/", "Zm9v.", "Zm9\u{e9}"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_octet_in_every_place() {
        for octet in 0..=u8::MAX {
            for place in 0..7 {
                let mut bytes = *b"AAAAAAA";
                bytes[place] = octet;
                let Ok(text) = core::str::from_utf8(&bytes) else { continue };
                for text in [text, &text[..6], &text[..5], &text[..4]] {
                    assert_eq!(decode(text), URL_SAFE_NO_PAD.decode(text).ok(), "{text:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_general_decoder_says_the_same(text in "[A-Za-z0-9_-]{0,40}[ -~\u{e9}]{0,2}") {
            prop_assert_eq!(decode(&text), URL_SAFE_NO_PAD.decode(&text).ok());
        }

        #[test]
        fn what_decodes_encodes_to_the_same_text(text in "[A-Za-z0-9_-]{0,40}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
