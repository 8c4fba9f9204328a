//! Recordings: WAV files of 16 bits, one channel.

use std::io;

/// The samples of a file, as far as it is written: whoever records into it may not be done, and has then not said how
/// long it is.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] where there is no such recording, or none yet.
pub fn samples(file: &[u8]) -> io::Result<Vec<i16>> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let form = chunk(file, b"fmt ").ok_or_else(bad)?;
    // PCM, one channel, 16 bits.
    if form.get(..4) != Some(&[1, 0, 1, 0]) || form.get(14..16) != Some(&[16, 0]) {
        return Err(bad());
    }
    let data = chunk(file, b"data").ok_or_else(bad)?;
    Ok(data.as_chunks().0.iter().map(|octets| i16::from_le_bytes(*octets)).collect())
}

/// The content of a chunk; up to the end of the file, where its length is not yet written.
fn chunk<'a>(file: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = file.strip_prefix(b"RIFF")?.get(8..)?;
    while let Some((head, content)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes(head[4..].try_into().ok()?) as usize;
        if head.starts_with(name) {
            let written = if length == 0 { content.len() } else { length.min(content.len()) };
            return content.get(..written);
        }
        rest = content.get(length + length % 2..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(length: u32) -> Vec<u8> {
        let mut file =
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0".to_vec();
        file.extend(b"LIST\x03\0\0\0abc\0data");
        file.extend(length.to_le_bytes());
        file.extend(b"\x01\0\xff\xff\x02\0");
        file
    }

    #[test]
    fn samples_are_found_behind_other_chunks() {
        assert_eq!(samples(&file(6)).unwrap(), [1, -1, 2]);
        assert_eq!(samples(&file(4)).unwrap(), [1, -1]);
    }

    #[test]
    fn a_file_that_is_still_written_is_read_as_far_as_it_goes() {
        assert_eq!(samples(&file(0)).unwrap(), [1, -1, 2]);
        assert_eq!(samples(&file(600)).unwrap(), [1, -1, 2]);
        assert!(samples(&file(6)[..30]).is_err());
    }
}
