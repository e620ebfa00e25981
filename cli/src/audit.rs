//! The command `audit`: proof that a log is what the server wrote.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;

use exchange_core::server::audit_verify::{
    Finding, LINE_BYTES_MAX, Summary, Verifier, VerifierKey,
};
use exchange_smol::files::{self, FileAction, FileError};

use crate::args::Verify;
use crate::exit::{Class, Failure};
use crate::terminal;

/// Largest file of keys.
const KEYS_BYTES_MAX: usize = 64 * 1024;

/// `audit verify`.
pub(crate) fn verify(args: &Verify) -> Result<ExitCode, Failure> {
    let keys = keys(args)?;
    let mut verifier = Verifier::new(keys.iter().cloned());
    // With which line of all each file begins, to name the place of a finding.
    let mut begins: Vec<(u64, &Path)> = Vec::new();
    let mut next = 1;
    for path in &args.files {
        begins.push((next, path));
        next += read(path, &mut verifier).map_err(|trouble| trouble.explain(&begins, path))?;
    }
    let summary = verifier.finish();
    report(&summary, &keys).iter().for_each(|line| terminal::line(line));
    if summary.first.is_none() && next > 1 {
        let text = "none of the lines is chained: the log is of another program, or was rewritten";
        return Err(Failure::new(Class::Other, "audit.unchained", text));
    }
    Ok(ExitCode::SUCCESS)
}

fn keys(args: &Verify) -> Result<Vec<VerifierKey>, Failure> {
    let mut texts = args.key.clone();
    for path in &args.key_file {
        let bytes = files::read(path, KEYS_BYTES_MAX)
            .map_err(|error| Failure::local(error.code(), error.to_string()))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        texts.extend(text.lines().filter(|line| !line.trim().is_empty()).map(String::from));
    }
    let parse = |text: String| {
        text.parse::<VerifierKey>().map_err(|()| {
            let text = "a key is not of the form NAME+HASH+KEY, as the server prints it at its \
                        start and keeps it in data_dir/audit.pub";
            Failure::local("audit.bad_key", text)
        })
    };
    texts.into_iter().map(parse).collect()
}

/// How files of gzip, zstd, xz and bzip2 begin: what tools that rotate logs leave behind.
const COMPRESSED: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh"];

enum Trouble {
    Read(std::io::Error),
    Compressed,
    Found(Finding),
}

impl Trouble {
    fn explain(self, begins: &[(u64, &Path)], path: &Path) -> Failure {
        match self {
            Self::Read(error) => {
                let error = FileError::io(FileAction::Read, path, &error);
                Failure::local(error.code(), error.to_string())
            }
            Self::Compressed => {
                let text = format!(
                    "{} is compressed: unpack it, for example \
                     zcat audit.log.2.gz | talosctl-oidc audit verify - audit.log.1 audit.log",
                    path.display()
                );
                Failure::local("audit.compressed", text)
            }
            Self::Found(Finding { line, fault }) => {
                // The line meant may be the last one of the file before.
                let at = begins.iter().rev().find(|(begin, _)| *begin <= line);
                let (begin, path) = at.copied().unwrap_or((1, path));
                let place = format!("{}:{}", path.display(), line - begin + 1);
                Failure::new(Class::Other, fault.code(), format!("{place}: {fault}"))
            }
        }
    }
}

/// Checks the lines of one file; how many there are.
fn read(path: &Path, verifier: &mut Verifier) -> Result<u64, Trouble> {
    let mut reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(Trouble::Read)?))
    };
    let begin = reader.fill_buf().map_err(Trouble::Read)?;
    if COMPRESSED.iter().any(|magic| begin.starts_with(magic)) {
        return Err(Trouble::Compressed);
    }
    let (mut lines, mut line) = (0, Vec::new());
    while next_line(&mut reader, &mut line).map_err(Trouble::Read)? {
        lines += 1;
        verifier.line(&line).map_err(Trouble::Found)?;
    }
    Ok(lines)
}

/// Reads the next line of a log into `line`, without its end; `false` behind the last one.
///
/// A line longer than any of ours is cut, so that nobody's file takes the memory of whoever reads
/// it: what is cut is still too long to be one of ours, and its rest comes as another line.
pub(crate) fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    let cap = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(2);
    line.clear();
    let count = reader.take(cap).read_until(b'\n', line)?;
    if line.ends_with(b"\n") {
        line.pop();
    }
    Ok(count > 0)
}

fn report(summary: &Summary, keys: &[VerifierKey]) -> Vec<String> {
    let mut out = Vec::new();
    let Summary { lines, first, last, unchained, checkpoints, .. } = summary;
    out.push(format!("{lines} lines, none changed, removed, moved or inserted"));
    if let (Some(first), Some(last)) = (first, last) {
        out.push(format!("numbers {first} to {last}"));
        if *first > 1 {
            out.push(format!(
                "lines before number {first} are elsewhere: without them signed checkpoints are \
                 not compared; name the older files first"
            ));
        }
    }
    if *unchained > 0 {
        out.push(format!("{unchained} lines are older than the chain and prove nothing"));
    }
    out.push(format!("{checkpoints} signed checkpoints"));
    if keys.is_empty() {
        out.push(
            "signatures were NOT checked: whoever can write the log could have made it anew; \
             give --key or --key-file"
                .into(),
        );
    } else {
        let Summary { checkpoints_proven, proven_to, .. } = summary;
        out.push(format!("{checkpoints_proven} checked against the key, up to number {proven_to}"));
        if last.is_some_and(|last| last > proven_to + 1) {
            out.push(format!(
                "lines after number {proven_to} are chained, but no checkpoint vouches for them yet"
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, next_line};

    #[test]
    fn a_line_that_never_ends_is_read_in_pieces() {
        let endless = vec![b'x'; 2 * LINE_BYTES_MAX];
        let mut file: &[u8] = &[b"{\"a\":1}\n\n", endless.as_slice(), b"\nend"].concat();
        let (mut line, mut lengths) = (Vec::new(), Vec::new());
        while next_line(&mut file, &mut line).expect("bytes in memory") {
            assert!(line.capacity() <= 2 * LINE_BYTES_MAX, "{}", line.capacity());
            lengths.push(line.len());
        }
        let cut = LINE_BYTES_MAX + 2;
        assert_eq!(lengths, [7, 0, cut, endless.len() - cut, 3]);
    }
}
