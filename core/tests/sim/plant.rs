//! Faults of the world or of a machine, to prove that they would be found.

use serde_json::Value;

/// What is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    None,
    AuditDropped,
    LineLost,
    ModelOfAnotherTtl,
    RotationIgnored,
    SavedKeysFresh,
    ReloadIgnored,
    LimitOff,
    SubjectLimitOff,
    NoSignaturePanic,
    PortTakenPanic,
    NeverFresh,
    TornWrite,
    NeverCalm,
}

impl Plant {
    /// The settings that a machine with this fault goes by, of those it was given.
    pub fn settings(self, mut settings: Value) -> Value {
        match self {
            Self::LimitOff => settings["rate_by_address"] = Value::Null,
            Self::SubjectLimitOff => settings["rate_by_subject"] = Value::Null,
            Self::NeverFresh if settings.get("flow").is_some() => settings["force"] = true.into(),
            _ => {}
        }
        settings
    }

    /// What a machine with this fault hears, of what it was told in the words of a script.
    pub fn hears(self, word: Option<Value>) -> Option<Value> {
        let mut word = word?;
        if let Some(settings) = word.get_mut("reload") {
            if self == Self::ReloadIgnored {
                return None;
            }
            *settings = self.settings(settings.take());
        }
        if self == Self::NoSignaturePanic && word["signed"]["signature"] == "none" {
            panic!("no signature, as planted");
        }
        if self == Self::PortTakenPanic && word.get("listen_failed").is_some() {
            panic!("no port, as planted");
        }
        Some(word)
    }
}
