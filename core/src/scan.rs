//! Where the first byte is that must not simply be passed over or copied, eight bytes at a time:
//! tokens, heads of requests and PEM texts are long, and what is looked for in them is rare.

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x80 * ONES;

/// How many bytes at the front end no string that is being read: no quote, no backslash, no
/// control character (RFC 8259 section 7).
pub(crate) fn inside_string(bytes: &[u8]) -> usize {
    first(
        bytes,
        |word| below(word, 0x20) | equal(word, b'"') | equal(word, b'\\'),
        |byte| matches!(byte, ..b' ' | b'"' | b'\\'),
    )
}

/// How many bytes stand before the first carriage return or line feed.
pub(crate) fn within_line(bytes: &[u8]) -> usize {
    first(
        bytes,
        |word| equal(word, b'\r') | equal(word, b'\n'),
        |byte| matches!(byte, b'\r' | b'\n'),
    )
}

/// How many bytes at the front are written into a JSON string as they are: none of them is
/// escaped, or begins a character that may be.
pub(crate) fn written_plainly(bytes: &[u8]) -> usize {
    let del_and_above = |word: u64| word | ((word & !TOPS) + ONES);
    let found =
        |word| below(word, 0x20) | equal(word, b'"') | equal(word, b'\\') | del_and_above(word);
    first(bytes, found, needs_look)
}

const fn needs_look(byte: u8) -> bool {
    matches!(byte, ..b' ' | b'"' | b'\\' | 0x7f..)
}

/// In each byte the top bit, where the byte is below `bound` (or, by a borrow, behind a byte that
/// is): the lowest bit set is always right.
const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(u64::from_le_bytes([bound; 8])) & !word
}

/// The same for bytes that are `byte`.
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ u64::from_le_bytes([byte; 8]), 1)
}

/// How many bytes stand before the first that is `found`, by words and by bytes.
#[inline(always)]
fn first(bytes: &[u8], of_word: impl Fn(u64) -> u64, of_byte: impl Fn(u8) -> bool) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut before = 0;
    for word in words {
        let found = of_word(u64::from_le_bytes(*word)) & TOPS;
        if found != 0 {
            return before + usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
        }
        before += 8;
    }
    before + rest.iter().position(|byte| of_byte(*byte)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn ends_a_string(byte: u8) -> bool {
        byte < 0x20 || byte == b'"' || byte == b'\\'
    }

    fn ends_a_line(byte: u8) -> bool {
        byte == b'\r' || byte == b'\n'
    }

    #[test]
    fn every_byte_after_every_run_of_plain_ones() {
        for plain in 0..20 {
            for byte in 0..=u8::MAX {
                let mut bytes = Vec::from([b'a'; 24]);
                bytes[plain] = byte;
                let expected = |found: bool| if found { plain } else { bytes.len() };
                assert_eq!(written_plainly(&bytes), expected(needs_look(byte)), "{byte}, {plain}");
                assert_eq!(inside_string(&bytes), expected(ends_a_string(byte)), "{byte}, {plain}");
                assert_eq!(within_line(&bytes), expected(ends_a_line(byte)), "{byte}, {plain}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_first_is_found_among_others(bytes in proptest::collection::vec(8_u8..=0xff, 0..40)) {
            let first = |found: fn(u8) -> bool| {
                bytes.iter().position(|byte| found(*byte)).unwrap_or(bytes.len())
            };
            prop_assert_eq!(written_plainly(&bytes), first(needs_look));
            prop_assert_eq!(inside_string(&bytes), first(ends_a_string));
            prop_assert_eq!(within_line(&bytes), first(ends_a_line));
        }
    }
}
