//! The audit log: what is written reads back, and what was changed is found.

use exchange_core::json;
use exchange_core::machine::{RequestId, UnixTime};
use exchange_core::server::audit::{AuditEvent, EventType};
use exchange_core::server::audit_chain::{Chain, CheckpointKey};
use exchange_core::server::audit_verify::{LINE_BYTES_MAX, Verifier, resume};

use crate::fixed::NOW;

/// Lines as found in a file; then the same text as what a stranger may put into an event.
pub fn audit_line(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|b| *b == b'\n').collect();
    let mut verifier = Verifier::new(None);
    let fits = lines.iter().all(|line| verifier.line(line).is_ok());
    if fits {
        assert_eq!(verifier.finish().lines, u64::try_from(lines.len()).expect("few lines"));
    }
    let _ = resume(None, &lines);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(chain) = Chain::from_state(text) {
        assert_eq!(Chain::from_state(&chain.state()), Some(chain), "read as it prints");
    }
    written_reads_back(text);
}

fn written_reads_back(text: &str) {
    let key = CheckpointKey::from_seed(text.get(..8).unwrap_or("audit"), &[7; 32]).expect("a key");
    let mut chain = Chain::default();
    let mut log = String::new();
    for (number, part) in (0..).zip(text.split('\u{0}').take(8)) {
        let mut event = AuditEvent::new(
            UnixTime::from_secs(NOW.secs() + number),
            EventType::AuthFailure,
            RequestId(number),
            ([192, 0, 2, 1], 443).into(),
        );
        event.subject = Some(part.into());
        event.error = Some(part.chars().rev().collect());
        let mut open = String::new();
        event.write_open(&mut open);
        chain.seal(open, &mut log);
    }
    let checkpoint = chain.checkpoint(NOW, &key);
    chain.seal(checkpoint, &mut log);
    let lines: Vec<&str> = log.split_terminator('\n').collect();
    assert_eq!(u64::try_from(lines.len()), Ok(chain.len()), "one line an event");
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'));
    if lines.iter().any(|line| line.len() > LINE_BYTES_MAX) {
        return;
    }
    let verifier_key = key.verifier().parse().expect("our own verifier key");
    let mut verifier = Verifier::new(Some(verifier_key));
    for line in &lines {
        verifier.line(line.as_bytes()).expect("an untouched log fits");
    }
    assert_eq!(verifier.finish().checkpoints_proven, 1);
    let limits = json::Limits { bytes_max: LINE_BYTES_MAX, depth_max: 8 };
    let first = json::parse_object(lines[0].as_bytes(), limits).expect("JSON");
    let subject = text.split('\u{0}').next().filter(|subject| !subject.is_empty());
    assert_eq!(first.get_str("subject"), subject);
    assert_eq!(resume(None, &lines.iter().map(|l| l.as_bytes()).collect::<Vec<_>>()), Some(chain));
}
