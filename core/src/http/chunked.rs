//! The chunked transfer coding, read strictly (RFC 9112 section 7.1).

use alloc::vec::Vec;

use super::Limits;
use super::buffer::append_wiping;

/// Why a chunked body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkError {
    /// Not the grammar: size, line end or trailer.
    Malformed,
    /// The joined chunks would exceed the body cap.
    BodyTooLarge,
    /// Extensions and trailers together exceed the head cap.
    OverheadTooLarge,
}

/// What stands next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Size { digits: u32 },
    Blank,
    Extension,
    SizeEnd,
    Data { left: usize },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    LastLf,
    Done,
}

/// Joins chunks as they come in. It judges each byte by those before it only, so how the bytes are
/// cut into reads cannot change the outcome.
#[derive(Clone, Debug)]
pub(super) struct ChunkDecoder {
    step: Step,
    size: usize,
    overhead_left: usize,
    body_bytes_max: usize,
    digits_max: u32,
}

impl ChunkDecoder {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            step: Step::Size { digits: 0 },
            size: 0,
            overhead_left: limits.head_bytes_max,
            body_bytes_max: limits.body_bytes_max,
            digits_max: limits.chunk_digits_max.min(15),
        }
    }

    /// Reads `input`, appends data to `body`, and says how many bytes of `input` belong to this
    /// body and whether it is complete. Bytes behind the end are not touched.
    pub(super) fn push(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<(usize, bool), ChunkError> {
        let mut rest = input;
        while self.step != Step::Done {
            if let Step::Data { left } = self.step {
                let (data, after) = rest.split_at(left.min(rest.len()));
                append_wiping(body, data, self.body_bytes_max);
                rest = after;
                let left = left - data.len();
                self.step = if left == 0 { Step::DataCr } else { Step::Data { left } };
            }
            let Some((&byte, after)) = rest.split_first() else { break };
            rest = after;
            self.step = self.next(byte, body.len())?;
        }
        Ok((input.len() - rest.len(), self.step == Step::Done))
    }

    /// The step behind one byte of framing.
    fn next(&mut self, byte: u8, joined: usize) -> Result<Step, ChunkError> {
        let malformed = Err(ChunkError::Malformed);
        match (self.step, byte) {
            (Step::Size { digits }, _) if byte.is_ascii_hexdigit() => self.digit(digits, byte),
            (Step::Size { digits: 1.. } | Step::Blank, b'\t' | b' ') => self.spend(Step::Blank),
            (Step::Size { digits: 1.. } | Step::Blank, b';') => self.spend(Step::Extension),
            (Step::Size { digits: 1.. } | Step::Extension, b'\r') => Ok(Step::SizeEnd),
            (Step::Size { .. } | Step::Blank, _) => malformed,
            (Step::Extension, _) if is_text(byte) => self.spend(Step::Extension),
            (Step::SizeEnd, b'\n') => match self.size {
                0 => Ok(Step::TrailerStart),
                size if size > self.body_bytes_max.saturating_sub(joined) => {
                    Err(ChunkError::BodyTooLarge)
                }
                size => Ok(Step::Data { left: size }),
            },
            (Step::DataCr, b'\r') => Ok(Step::DataLf),
            (Step::DataLf, b'\n') => {
                self.size = 0;
                Ok(Step::Size { digits: 0 })
            }
            (Step::TrailerStart, b'\r') => Ok(Step::LastLf),
            (Step::TrailerStart | Step::TrailerName, _) if is_token(byte) => {
                self.spend(Step::TrailerName)
            }
            (Step::TrailerName, b':') => self.spend(Step::TrailerValue),
            (Step::TrailerValue, b'\r') => self.spend(Step::TrailerEnd),
            (Step::TrailerValue, _) if is_text(byte) => self.spend(Step::TrailerValue),
            (Step::TrailerEnd, b'\n') => self.spend(Step::TrailerStart),
            (Step::LastLf, b'\n') => Ok(Step::Done),
            (
                Step::Extension
                | Step::SizeEnd
                | Step::Data { .. }
                | Step::DataCr
                | Step::DataLf
                | Step::TrailerStart
                | Step::TrailerName
                | Step::TrailerValue
                | Step::TrailerEnd
                | Step::LastLf
                | Step::Done,
                _,
            ) => malformed,
        }
    }

    fn digit(&mut self, digits: u32, byte: u8) -> Result<Step, ChunkError> {
        let value = char::from(byte).to_digit(16).and_then(|value| usize::try_from(value).ok());
        let value = value.ok_or(ChunkError::Malformed)?;
        if digits >= self.digits_max {
            return Err(ChunkError::Malformed);
        }
        // Saturated is still larger than any cap.
        self.size = self.size.saturating_mul(16).saturating_add(value);
        Ok(Step::Size { digits: digits + 1 })
    }

    /// Pays for a byte that carries neither data nor needed framing.
    fn spend(&mut self, next: Step) -> Result<Step, ChunkError> {
        self.overhead_left =
            self.overhead_left.checked_sub(1).ok_or(ChunkError::OverheadTooLarge)?;
        Ok(next)
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What a field value may hold: blank, tab, visible, obs-text (RFC 9110 section 5.5).
pub(super) const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
