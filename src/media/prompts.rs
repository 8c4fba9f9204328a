//! What is said: recordings of 8 kHz, 16 bits, one channel, by language and name.
//!
//! A set is read once, encoded both ways, and shared by all sessions. English and German are in the binary; a folder
//! of the operator replaces clips of these and adds languages.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::{fmt, fs, io};

use dataplane::media::Codec;

use super::g711;
use super::shipped::SHIPPED;

/// Spoken where a language has no clip of its own.
pub const FALLBACK: &str = "en";

/// Languages of a folder: more than any country has.
const LANGUAGES_MAX: usize = 64;

/// Longest file: a minute of sound, and far longer than anybody would listen to.
const FILE_OCTETS_MAX: u64 = 1 << 20;

/// Samples in a second.
const RATE: u32 = 8_000;

/// One recording, as it leaves.
#[derive(PartialEq, Eq)]
pub struct Sound {
    mu: Box<[u8]>,
    a: Box<[u8]>,
}

impl Sound {
    fn of(samples: &[i16]) -> Arc<Self> {
        Arc::new(Self {
            mu: samples.iter().map(|sample| g711::encode_mu(*sample)).collect(),
            a: samples.iter().map(|sample| g711::encode_a(*sample)).collect(),
        })
    }

    /// An octet for each sample.
    pub fn octets(&self, codec: Codec) -> &[u8] {
        match codec {
            Codec::Pcmu => &self.mu,
            Codec::Pcma => &self.a,
        }
    }
}

impl fmt::Debug for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sound({} ms)", self.mu.len() / 8)
    }
}

/// Clips by name.
type Clips = HashMap<Box<str>, Arc<Sound>>;

/// All that can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompts {
    languages: BTreeMap<Box<str>, Clips>,
}

/// What is wrong with a folder of prompts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// A folder or file that cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is no recording of the right form.
    #[error("{}: {fault}", .path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// More than there can be.
    #[error("{} has more than {LANGUAGES_MAX} folders", .path.display())]
    TooMany {
        /// The folder of languages.
        path: PathBuf,
    },
}

/// What is wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Another format, or cut off.
    #[error("no WAV file of PCM: {0}")]
    NoWav(Box<str>),
    /// Another form.
    #[error("{rate} Hz, {bits} bits, channels: {channels}. It must be 8000 Hz, 16 bits, one channel")]
    Form {
        /// Samples in a second.
        rate: u32,
        /// Of a sample.
        bits: u16,
        /// In it.
        channels: u16,
    },
    /// Nothing to be heard.
    #[error("it holds no sound")]
    Empty,
    /// Too long.
    #[error("it is longer than a minute")]
    Long,
}

/// What was read from a folder.
#[derive(Debug)]
pub struct FromFolder {
    /// The shipped prompts with those of the folder over them.
    pub prompts: Prompts,
    /// What is wrong: nothing of such a folder should be used.
    pub errors: Vec<PromptError>,
    /// Languages of the folder that lack clips, and which.
    pub missing: Vec<(Box<str>, Vec<&'static str>)>,
}

impl Prompts {
    /// Those in the binary; decoded once.
    pub fn shipped() -> Arc<Self> {
        static DECODED: LazyLock<Arc<Prompts>> = LazyLock::new(|| Arc::new(Prompts::decode_shipped()));
        Arc::clone(&DECODED)
    }

    fn decode_shipped() -> Self {
        let languages = SHIPPED.iter().map(|(language, clips)| {
            let sound = |(name, wav): &(&str, &[u8])| {
                let samples = decode(wav).expect("a test decodes every shipped prompt");
                (Box::from(*name), Sound::of(&samples))
            };
            (Box::from(*language), clips.iter().map(sound).collect())
        });
        Self { languages: languages.collect() }
    }

    /// Those in the binary, and over them what `folder` has: a folder for each language, in it a file for each clip.
    /// Files that are not called `*.wav` are passed over.
    pub fn with_folder(folder: &Path) -> FromFolder {
        let mut read =
            FromFolder { prompts: Self::clone(&Self::shipped()), errors: Vec::new(), missing: Vec::new() };
        let folders = match entries(folder) {
            Ok(entries) => entries.into_iter().filter(|path| path.is_dir()).collect::<Vec<_>>(),
            Err(error) => {
                read.errors.push(error);
                return read;
            }
        };
        if folders.len() > LANGUAGES_MAX {
            read.errors.push(PromptError::TooMany { path: folder.to_path_buf() });
            return read;
        }
        for folder in folders {
            let Some(language) = folder.file_name().and_then(|name| name.to_str()) else { continue };
            let clips = clips(&folder, &mut read.errors);
            let lacks = |name: &&str| !clips.contains_key(*name);
            let missing: Vec<_> = names().filter(lacks).collect();
            if !missing.is_empty() {
                read.missing.push((language.into(), missing));
            }
            read.prompts.languages.entry(language.into()).or_default().extend(clips);
        }
        read
    }

    /// The languages there are.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.keys().map(|name| &**name)
    }

    /// True if there are prompts in this language, or in it without its region.
    pub fn speaks(&self, language: &str) -> bool {
        [language, general(language)].into_iter().any(|language| self.languages.contains_key(language))
    }

    /// The clip of this name in this language; else of the language without its region (`de` for `de-AT`); else in
    /// English.
    pub fn find(&self, language: &str, name: &str) -> Option<&Arc<Sound>> {
        let languages = [language, general(language), FALLBACK];
        languages.into_iter().find_map(|language| self.languages.get(language)?.get(name))
    }
}

/// A language without its region.
fn general(language: &str) -> &str {
    language.split('-').next().unwrap_or_default()
}

/// The names of all clips.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED
        .iter()
        .filter(|(language, _)| *language == FALLBACK)
        .flat_map(|(_, clips)| *clips)
        .map(|(name, _)| *name)
}

fn clips(folder: &Path, errors: &mut Vec<PromptError>) -> Clips {
    let mut clips = Clips::new();
    let files = match entries(folder) {
        Ok(files) => files,
        Err(error) => {
            errors.push(error);
            return clips;
        }
    };
    for path in files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "wav")) {
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        match read(&path) {
            Ok(samples) => {
                clips.insert(name.into(), Sound::of(&samples));
            }
            Err(error) => errors.push(error),
        }
    }
    clips
}

/// What is in a folder, in the order of names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, PromptError> {
    let list = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut entries =
        list().map_err(|source| PromptError::Unreadable { path: folder.to_path_buf(), source })?;
    entries.sort();
    Ok(entries)
}

fn read(path: &Path) -> Result<Vec<i16>, PromptError> {
    let unfit = |fault| PromptError::Unfit { path: path.to_path_buf(), fault };
    let load = || {
        let long = fs::metadata(path)?.len() > FILE_OCTETS_MAX;
        if long { Ok(None) } else { fs::read(path).map(Some) }
    };
    let wav = load().map_err(|source| PromptError::Unreadable { path: path.to_path_buf(), source })?;
    decode(&wav.ok_or_else(|| unfit(Fault::Long))?).map_err(unfit)
}

/// The samples of a WAV file.
fn decode(wav: &[u8]) -> Result<Vec<i16>, Fault> {
    let no_wav = |error: hound::Error| Fault::NoWav(error.to_string().into());
    let reader = hound::WavReader::new(Cursor::new(wav)).map_err(no_wav)?;
    let form = reader.spec();
    if (form.sample_rate, form.bits_per_sample, form.channels) != (RATE, 16, 1) {
        return Err(Fault::Form {
            rate: form.sample_rate,
            bits: form.bits_per_sample,
            channels: form.channels,
        });
    }
    let samples: Vec<i16> = reader.into_samples().collect::<Result<_, _>>().map_err(no_wav)?;
    match samples.len() {
        0 => Err(Fault::Empty),
        length if length > 60 * RATE as usize => Err(Fault::Long),
        _ => Ok(samples),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::media::tones::Tones;

    fn table() -> Vec<Vec<&'static str>> {
        let table = include_str!("../../configs/prompts/prompts.tsv");
        table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect()
    }

    fn write(folder: &Path, name: &str, rate: u32, channels: u16, samples: &[i16]) {
        let form = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        let mut writer = hound::WavWriter::create(folder.join(name), form).unwrap();
        samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
        writer.finalize().unwrap();
    }

    #[test]
    fn table_folder_and_binary_have_the_same_clips_in_each_language() {
        let table: BTreeSet<&str> = table().iter().map(|row| row[0]).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/prompts");
        for (language, clips) in SHIPPED {
            let binary: BTreeSet<&str> = clips.iter().map(|(name, _)| *name).collect();
            let files = entries(&folder.join(language)).unwrap();
            let files: BTreeSet<&str> =
                files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();

            assert_eq!(binary, table, "{language}");
            assert_eq!(files, table, "{language}");
        }
    }

    #[test]
    fn every_row_of_the_table_has_a_sentence_in_each_language() {
        for row in table() {
            assert!(row.len() == 3 && row.iter().all(|cell| !cell.trim().is_empty()), "{row:?}");
        }
    }

    #[test]
    fn shipped_prompts_are_small_whole_and_of_even_loudness() {
        let mut all = 0;
        for (language, clips) in SHIPPED {
            let octets: usize = clips.iter().map(|(_, wav)| wav.len()).sum();
            assert!(octets < 3 << 19, "{language}: {octets} octets");
            all += octets;
            for (name, wav) in clips {
                let samples = decode(wav).unwrap();
                let loudest = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
                assert!((6_000..=30_000).contains(&loudest), "{language}/{name}: {loudest}");
            }
        }
        assert!(all < 3 << 20);
    }

    #[test]
    fn no_shipped_prompt_sounds_like_a_key() {
        for (language, clips) in SHIPPED {
            for (name, wav) in clips {
                let samples = decode(wav).unwrap();
                for before in 0..4 {
                    let cut = std::iter::repeat_n(0, 25 * before).chain(samples.iter().copied());
                    Tones::new().hear(cut, |key| panic!("{language}/{name}: {}", char::from(key)));
                }
            }
        }
    }

    #[test]
    fn every_word_of_the_dataplane_is_shipped() {
        let names: BTreeSet<&str> = names().collect();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dataplane")];
        while let Some(folder) = folders.pop() {
            for path in entries(&folder).unwrap() {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    for word in text.split("Clip::Word(\"").skip(1).filter_map(|rest| rest.split('"').next())
                    {
                        assert!(names.contains(word), "{}: {word}", path.display());
                    }
                }
            }
        }
        for digit in 0..10 {
            assert!(names.contains(&*format!("digit-{digit}")));
        }
    }

    #[test]
    fn a_folder_replaces_clips_and_adds_languages() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "en/disabled.wav", 8_000, 1, &[1_000; 3]);
        write(folder.path(), "fr/disabled.wav", 8_000, 1, &[-1_000; 5]);
        fs::write(folder.path().join("fr/README"), "no recording").unwrap();

        let read = Prompts::with_folder(folder.path());

        assert!(read.errors.is_empty(), "{:?}", read.errors);
        let prompts = read.prompts;
        assert_eq!(prompts.languages().collect::<Vec<_>>(), ["de", "en", "fr"]);
        let octets = |language, name| prompts.find(language, name).unwrap().octets(Codec::Pcmu);
        assert_eq!(octets("en", "disabled"), [0xCE; 3]);
        assert_eq!(octets("fr-CA", "disabled"), [0x4E; 5]);
        assert_eq!(prompts.find("fr", "disabled").unwrap().octets(Codec::Pcma), [0x7A; 5]);
        assert_eq!(octets("fr", "goodbye"), octets("en", "goodbye"));
        assert_eq!(octets("xx", "goodbye"), octets("en", "goodbye"));
        assert_eq!(read.missing.len(), 2);
        let (language, missing) = &read.missing[1];
        assert_eq!(&**language, "fr");
        assert!(missing.contains(&"goodbye") && !missing.contains(&"disabled"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "en/disabled.wav", 44_100, 2, &[0; 4]);
        write(folder.path(), "en/goodbye.wav", 8_000, 1, &[]);
        write(folder.path(), "en/wrong.wav", 8_000, 1, &[0; 61 * 8_000]);
        fs::write(folder.path().join("en/locked.wav"), "hello").unwrap();
        fs::write(folder.path().join("en/nobody.wav"), vec![0; 2 << 20]).unwrap();

        let read = Prompts::with_folder(folder.path());

        let errors: Vec<String> = read.errors.iter().map(ToString::to_string).collect();
        let form = "44100 Hz, 16 bits, channels: 2. It must be 8000 Hz, 16 bits, one channel";
        let expected = [
            ("disabled", form),
            ("goodbye", "it holds no sound"),
            ("locked", "no WAV file of PCM: "),
            ("nobody", "it is longer than a minute"),
            ("wrong", "it is longer than a minute"),
        ];
        assert_eq!(errors.len(), expected.len());
        for (error, (name, fault)) in errors.iter().zip(expected) {
            assert!(error.contains(&format!("/en/{name}.wav: {fault}")), "{error}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_said() {
        let read = Prompts::with_folder(Path::new("/nonexistent"));

        assert!(read.errors[0].to_string().starts_with("/nonexistent cannot be read: "));
    }
}
