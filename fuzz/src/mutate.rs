//! Pseudo-random inputs for `cargo test`: no coverage feedback, but repeatable everywhere.

/// xorshift64*: the same numbers for the same seed on every machine.
pub struct Rng(u64);

impl Rng {
    /// A sequence for that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; zero when that is zero.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.number()) * u128::try_from(end).expect("usize fits");
        usize::try_from(wide >> 64).expect("below a usize")
    }

    /// That many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number().to_le_bytes()[7]).collect()
    }
}

/// Longest input that is made.
pub const BYTES_MAX: usize = 64 * 1024;

/// `seed` with one to four changes: bits, bytes, words of the dictionary, ranges removed, repeated
/// or taken from another seed.
#[must_use]
pub fn mutate(rng: &mut Rng, seed: &[u8], words: &[Vec<u8>], others: &[Vec<u8>]) -> Vec<u8> {
    const TELLING: [u8; 12] = *b"\0\x01\x7f\x80\xff\n\r\"\\:/.";
    let mut data = seed.to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(data.len() + 1);
        let end = at + rng.below((data.len() - at).min(64) + 1);
        match rng.below(8) {
            0 if at < data.len() => data[at] ^= 1 << rng.below(8),
            1 if at < data.len() => data[at] = TELLING[rng.below(TELLING.len())],
            2 if !words.is_empty() => insert(&mut data, at, &words[rng.below(words.len())]),
            3 if !words.is_empty() => {
                data.drain(at..end);
                insert(&mut data, at, &words[rng.below(words.len())]);
            }
            4 => drop(data.drain(at..end)),
            5 => {
                let again = data[at..end].to_vec();
                for _ in 0..=rng.below(3) {
                    insert(&mut data, at, &again);
                }
            }
            6 if !others.is_empty() => {
                let other = &others[rng.below(others.len())];
                let from = rng.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            7 => data.truncate(at),
            _ => {
                let count = rng.below(16);
                let noise = rng.bytes(count);
                insert(&mut data, at, &noise);
            }
        }
    }
    data.truncate(BYTES_MAX);
    data
}

fn insert(data: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    data.splice(at..at, bytes.iter().copied());
}

/// Reads a dictionary of libFuzzer: `"…"` or `name="…"` a line, with `\\`, `\"` and `\xNN`.
///
/// # Panics
/// On a line that is none, as libFuzzer would refuse the whole file.
#[must_use]
pub fn dictionary(text: &str) -> Vec<Vec<u8>> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| word(line).unwrap_or_else(|| panic!("not a dictionary line: {line}")))
        .collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let quoted = line.get(line.find('"')?..)?.strip_prefix('"')?.strip_suffix('"')?;
    let (mut word, mut rest) = (Vec::new(), quoted.as_bytes());
    loop {
        match rest {
            [] => return Some(word),
            [b'\\', b'x', high, low, tail @ ..] => {
                let digits = [*high, *low];
                word.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = tail;
            }
            [b'\\', escaped @ (b'\\' | b'"'), tail @ ..] => {
                word.push(*escaped);
                rest = tail;
            }
            [b'\\' | b'"', ..] => return None,
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}
