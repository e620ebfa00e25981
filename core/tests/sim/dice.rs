//! A small generator (SplitMix64), so that a seed replays exactly.

use exchange_core::machine::Entropy;

pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `sides` - 1.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    pub fn entropy<const N: usize>(&mut self) -> Entropy<N> {
        let mut bytes = [0; N];
        bytes.fill_with(|| self.next() as u8);
        Entropy::new(bytes)
    }

    /// A byte as often as it takes: this is how scripts write randomness down.
    pub fn byte(&mut self) -> u8 {
        self.roll(250) as u8
    }
}
