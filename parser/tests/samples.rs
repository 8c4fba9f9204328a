//! The eight messages of desk phones, `phones/*.sip`, read from disk.

use std::fs;
use std::path::PathBuf;

/// The eight messages by their file names.
pub(crate) fn messages() -> Vec<(String, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/phones");
    let mut messages: Vec<_> = fs::read_dir(directory)
        .expect("the directory is there")
        .map(|file| {
            let path = file.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(path).expect("the message is there"))
        })
        .collect();
    messages.sort();
    messages
}
