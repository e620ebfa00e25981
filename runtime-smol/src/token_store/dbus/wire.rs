//! D-Bus messages as bytes (D-Bus specification, "Type System" and "Message Protocol").
//!
//! Written is little endian only; read is either, as a service writes as its machine does.

use std::mem::size_of;

use zeroize::Zeroizing;

/// Bytes that say how long a message is.
pub(crate) const HEAD_BYTES: usize = 16;

/// Largest message that is read or written. An entry has 256 kB at most.
const MESSAGE_MAX: usize = 512 * 1024;
const FIELDS_MAX: usize = 16 * 1024;
/// Things in one array that we read.
const ITEMS_MAX: usize = 4096;

const VERSION: u8 = 1;
const LITTLE: u8 = b'l';
const BIG: u8 = b'B';

const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

pub(crate) const FIELD_PATH: u8 = 1;
pub(crate) const FIELD_INTERFACE: u8 = 2;
pub(crate) const FIELD_MEMBER: u8 = 3;
pub(crate) const FIELD_ERROR: u8 = 4;
pub(crate) const FIELD_REPLY_TO: u8 = 5;
const FIELD_SERVICE: u8 = 6;
const FIELD_SIGNATURE: u8 = 8;

/// The bytes are no D-Bus, or more of it than anybody would send us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Return,
    Error,
    Signal,
    /// To be ignored, says the specification.
    Unknown,
}

/// A method of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
}

/// A message that came. Not for `Debug`: one of them carries a secret.
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) reply_to: Option<u32>,
    pub(crate) path: Option<Box<str>>,
    pub(crate) interface: Option<Box<str>>,
    pub(crate) member: Option<Box<str>>,
    pub(crate) error: Option<Box<str>>,
    is_big: bool,
    body: Zeroizing<Vec<u8>>,
}

impl Message {
    /// What is in it.
    pub(crate) fn body(&self) -> Reader<'_> {
        Reader { bytes: &self.body, at: 0, is_big: self.is_big }
    }
}

/// The bytes of a method call.
pub(super) fn method_call(
    serial: u32,
    service: &str,
    call: &Call<'_>,
    signature: &str,
    body: &Writer,
) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let fields = |fields: &mut Writer| {
        fields.field(FIELD_PATH, "o", call.path);
        fields.field(FIELD_INTERFACE, "s", call.interface);
        fields.field(FIELD_MEMBER, "s", call.member);
        fields.field(FIELD_SERVICE, "s", service);
        if !signature.is_empty() {
            fields.align(8);
            fields.0.push(FIELD_SIGNATURE);
            fields.signature("g");
            fields.signature(signature);
        }
    };
    encode(CALL, serial, fields, body)
}

/// The bytes of any message.
pub(crate) fn encode(
    kind: u8,
    serial: u32,
    fields: impl FnOnce(&mut Writer),
    body: &Writer,
) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let mut out = Writer::with_room(512 + body.0.len());
    out.0.extend([LITTLE, kind, 0, VERSION]);
    out.u32(u32::try_from(body.0.len()).map_err(|_| Malformed)?);
    out.u32(serial);
    out.array(8, fields);
    out.align(8);
    out.0.extend_from_slice(&body.0);
    if out.0.len() > MESSAGE_MAX { Err(Malformed) } else { Ok(out.0) }
}

/// How many bytes follow this beginning of a message.
pub(crate) fn length_after(head: &[u8; HEAD_BYTES]) -> Result<usize, Malformed> {
    let (_, body, fields) = opening(head)?;
    let all = fields.next_multiple_of(8).checked_add(body).ok_or(Malformed)?;
    if fields > FIELDS_MAX || all > MESSAGE_MAX { Err(Malformed) } else { Ok(all) }
}

/// Byte order, length of the body, length of the header fields.
fn opening(bytes: &[u8]) -> Result<(bool, usize, usize), Malformed> {
    let is_big = match bytes.first() {
        Some(&LITTLE) => false,
        Some(&BIG) => true,
        Some(_) | None => return Err(Malformed),
    };
    let mut head = Reader { bytes, at: 3, is_big };
    if head.u8()? != VERSION {
        return Err(Malformed);
    }
    let body = head.u32()?;
    let _serial = head.u32()?;
    let fields = head.u32()?;
    let size = |n: u32| usize::try_from(n).map_err(|_| Malformed);
    Ok((is_big, size(body)?, size(fields)?))
}

/// Reads a whole message.
pub(crate) fn message(bytes: &[u8]) -> Result<Message, Malformed> {
    let (is_big, body_len, fields_len) = opening(bytes)?;
    let fields_end = HEAD_BYTES.checked_add(fields_len).ok_or(Malformed)?;
    let body_at = fields_end.next_multiple_of(8);
    let body = bytes.get(body_at..).filter(|body| body.len() == body_len).ok_or(Malformed)?;
    let kind = match bytes.get(1) {
        Some(&CALL) => Kind::Call,
        Some(&RETURN) => Kind::Return,
        Some(&ERROR) => Kind::Error,
        Some(&SIGNAL) => Kind::Signal,
        Some(_) | None => Kind::Unknown,
    };
    let mut message = Message {
        kind,
        reply_to: None,
        path: None,
        interface: None,
        member: None,
        error: None,
        is_big,
        body: Zeroizing::new(body.to_vec()),
    };
    let mut fields =
        Reader { bytes: bytes.get(..fields_end).ok_or(Malformed)?, at: HEAD_BYTES, is_big };
    while fields.at < fields_end {
        fields.align(8)?;
        let code = fields.u8()?;
        match (code, fields.signature()?) {
            (FIELD_PATH, "o") => message.path = Some(fields.string()?.into()),
            (FIELD_INTERFACE, "s") => message.interface = Some(fields.string()?.into()),
            (FIELD_MEMBER, "s") => message.member = Some(fields.string()?.into()),
            (FIELD_ERROR, "s") => message.error = Some(fields.string()?.into()),
            (FIELD_REPLY_TO, "u") => message.reply_to = Some(fields.u32()?),
            (_, kind) => fields.skip(kind)?,
        }
    }
    Ok(message)
}

/// Writes values one after the other. Wiped when dropped, as one of them is a secret.
#[derive(Default)]
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// With room for so many bytes, so that no copy of a secret stays behind while it grows.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    fn align(&mut self, to: usize) {
        let length = self.0.len().next_multiple_of(to);
        self.0.resize(length, 0);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.align(size_of::<u32>());
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    /// A string or an object path.
    pub(crate) fn string(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.0.push(0);
    }

    /// `ay`.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        // What is too long for this is refused by its size in the end.
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    /// An array of things that begin at multiples of `align`.
    pub(crate) fn array(&mut self, align: usize, content: impl FnOnce(&mut Self)) {
        self.u32(0);
        let at = self.0.len();
        self.align(align);
        let start = self.0.len();
        content(self);
        let length = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.0.get_mut(at - size_of::<u32>()..at) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// A byte.
    #[cfg(test)]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// A header field that is a text.
    pub(crate) fn field(&mut self, code: u8, kind: &str, text: &str) {
        self.begin();
        self.0.push(code);
        self.signature(kind);
        self.string(text);
    }

    /// The start of a struct or of a dictionary's entry.
    pub(crate) fn begin(&mut self) {
        self.align(8);
    }
}

/// Reads values one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_big: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> Result<(), Malformed> {
        let gap = self.at.next_multiple_of(to) - self.at;
        self.take(gap).map(drop)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.align(size_of::<u32>())?;
        let bytes = self.take(size_of::<u32>())?.try_into().map_err(|_| Malformed)?;
        Ok(if self.is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u32()?).map_err(|_| Malformed)
    }

    /// `ay`.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        self.take(length)
    }

    /// A string or an object path.
    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        let text = self.bytes()?;
        self.text(text)
    }

    pub(crate) fn signature(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.u8()?);
        let text = self.take(length)?;
        self.text(text)
    }

    fn text(&mut self, text: &'a [u8]) -> Result<&'a str, Malformed> {
        if self.u8()? != 0 {
            return Err(Malformed);
        }
        std::str::from_utf8(text).map_err(|_| Malformed)
    }

    /// `ao` or `as`.
    pub(crate) fn strings(&mut self) -> Result<Vec<Box<str>>, Malformed> {
        let length = self.length()?;
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let mut found = Vec::new();
        while self.at < end {
            if found.len() >= ITEMS_MAX {
                return Err(Malformed);
            }
            found.push(self.string()?.into());
        }
        if self.at == end { Ok(found) } else { Err(Malformed) }
    }

    /// All that is left.
    #[cfg(test)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The start of a struct.
    pub(crate) fn begin(&mut self) -> Result<(), Malformed> {
        self.align(8)
    }

    /// Passes over a value of a basic type; nobody sends us another where we do not look.
    pub(crate) fn skip(&mut self, kind: &str) -> Result<(), Malformed> {
        match kind {
            "y" => self.take(1).map(drop),
            "n" | "q" => self.align(2).and_then(|()| self.take(2)).map(drop),
            "b" | "i" | "u" | "h" => self.u32().map(drop),
            "x" | "t" | "d" => self.align(8).and_then(|()| self.take(8)).map(drop),
            "s" | "o" => self.string().map(drop),
            "g" => self.signature().map(drop),
            "ay" => self.bytes().map(drop),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Zeroizing<Vec<u8>> {
        let mut body = Writer::default();
        body.string("a");
        body.array(8, |list| {
            list.begin();
            list.string("key");
            list.signature("s");
        });
        body.bytes(b"secret");
        body.bool(true);
        let call = Call { path: "/a/b", interface: "i.f", member: "M" };
        method_call(7, "s.v", &call, "sa(sg)ayb", &body).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample();
        let head: [u8; HEAD_BYTES] = bytes[..HEAD_BYTES].try_into().unwrap();
        assert_eq!(length_after(&head), Ok(bytes.len() - HEAD_BYTES));
        let read = message(&bytes).unwrap();
        assert_eq!(read.kind, Kind::Call);
        assert_eq!(read.path.as_deref(), Some("/a/b"));
        assert_eq!(read.interface.as_deref(), Some("i.f"));
        assert_eq!(read.member.as_deref(), Some("M"));
        let mut body = read.body();
        assert_eq!(body.string(), Ok("a"));
        assert_eq!(body.u32(), Ok(4 + 3 + 1 + 3));
        body.begin().unwrap();
        assert_eq!((body.string(), body.signature()), (Ok("key"), Ok("s")));
        assert_eq!(body.bytes(), Ok(b"secret".as_slice()));
        assert_eq!(body.bool(), Ok(true));
        assert_eq!(body.skip("y"), Err(Malformed), "there is no more");
    }

    /// Laid out by hand from the specification: a reply of a big-endian service.
    #[test]
    fn reads_the_other_byte_order() {
        let mut bytes = vec![b'B', 2, 1, 1, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 15];
        bytes.extend([5, 1, b'u', 0, 0, 0, 0, 9, 8, 1, b'g', 0, 1, b's', 0, 0]);
        bytes.extend([0, 0, 0, 3, b'a', b'b', b'c', 0]);
        let read = message(&bytes).unwrap();
        assert_eq!((read.kind, read.reply_to), (Kind::Return, Some(9)));
        assert_eq!(read.body().string(), Ok("abc"));
    }

    #[test]
    fn no_bytes_panic_and_none_are_believed_to_be_long() {
        let good = sample();
        for at in 0..good.len() {
            for value in [0, 1, b'l', b'B', 0x7f, 0xff] {
                let mut bytes = good.to_vec();
                bytes[at] = value;
                let head = bytes[..HEAD_BYTES].try_into().unwrap();
                if let Ok(rest) = length_after(head) {
                    assert!(rest <= MESSAGE_MAX);
                }
                if let Ok(read) = message(&bytes) {
                    let mut body = read.body();
                    let _ = body.strings();
                    let _ = (body.skip("t"), body.signature(), body.bool(), body.bytes());
                }
            }
            assert!(message(&good[..at]).is_err(), "cut at {at}");
        }
        assert!(length_after(&[0xff; HEAD_BYTES]).is_err());
    }

    #[test]
    fn a_list_ends_where_it_says() {
        let mut body = Writer::default();
        body.array(4, |list| {
            list.string("/a");
            list.string("/b");
        });
        let mut read = Reader { bytes: &body.0, at: 0, is_big: false };
        assert_eq!(read.strings().unwrap(), ["/a".into(), "/b".into()]);
        body.0[0] -= 1;
        let mut read = Reader { bytes: &body.0, at: 0, is_big: false };
        assert_eq!(read.strings(), Err(Malformed));
    }
}
