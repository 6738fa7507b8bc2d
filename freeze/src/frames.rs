//! Many texts in one compressed file.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// A text, or any bytes, with a name of one line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
}

/// Writes a file of frames, and the folders above it.
pub(crate) fn save(path: &Path, frames: &[Frame], level: Compression) -> Result<(), String> {
    let fails = |error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fails)?;
    }
    // No time and no name goes into it: the same frames are the same bytes.
    let file = BufWriter::new(File::create(path).map_err(fails)?);
    let mut file = GzEncoder::new(file, level);
    for Frame { name, body } in frames {
        if name.contains('\n') {
            return Err(format!("{name:?} is no name of one line"));
        }
        writeln!(file, "{} {name}", body.len()).map_err(fails)?;
        file.write_all(body).map_err(fails)?;
        file.write_all(b"\n").map_err(fails)?;
    }
    let mut file = file.finish().map_err(fails)?;
    file.flush().map_err(fails)
}

/// Reads it again.
pub(crate) fn load(path: &Path) -> Result<Vec<Frame>, String> {
    let fails = |error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fails)?;
    GzDecoder::new(file)
        .read_to_end(&mut bytes)
        .map_err(fails)?;
    parse(&bytes).ok_or_else(|| format!("{}: not a file of this program", path.display()))
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Frame>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let (length, name) = head.split_once(' ')?;
        let length: usize = length.parse().ok()?;
        let rest = bytes.get(end + 1..)?;
        let body = rest.get(..length)?.to_vec();
        bytes = rest.get(length..)?.strip_prefix(b"\n")?;
        let name = name.to_owned();
        frames.push(Frame { name, body });
    }
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let frame = |name: &str, body: &[u8]| Frame {
            name: name.to_owned(),
            body: body.to_vec(),
        };
        let frames = [
            frame("a b", b"3 x\nno frame\n"),
            frame("", b""),
            frame("c", b"\xff\0"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in/a/folder.gz");
        save(&path, &frames, Compression::best()).unwrap();
        assert_eq!(load(&path).unwrap(), frames);
        let twice = fs::read(&path).unwrap();
        save(&path, &frames, Compression::best()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), twice);
    }

    #[test]
    fn what_was_cut_off_is_no_file_of_frames() {
        assert_eq!(parse(b"3 a\nxyz\n").unwrap().len(), 1);
        assert_eq!(parse(b"3 a\nxyz"), None);
        assert_eq!(parse(b"3 a\nxy\n"), None);
        assert_eq!(parse(b"3 a"), None);
    }
}
