//! The backend `voicemail_conf`: the PINs of Asterisk's mailboxes, read from its own file and followed as it changes.
//!
//! The file is Asterisk's: it is rewritten whenever somebody changes his PIN, in place and not at once. So it is read
//! when it has kept still from one look to the next, whole or not at all, and what was read last counts until then.
//! An old PIN opens nothing any more two looks after it was changed.

mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use dataplane::query::{ChangedPin, PinChangeVerdict, PinReject, Proof};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::{Capabilities, Finding, PinBackend, proof};
use parse::{Context, Parsed};

/// Between two looks at the files: at most twice this long an old PIN works on.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Largest `secret.conf` that is read: it has two lines.
const SECRET_OCTETS_MAX: usize = 64 << 10;

/// Each `secret.conf` without a PIN that is told of at a time: with more, something is wrong with all of them.
const BAD_SAID_MAX: usize = 20;

/// What is compared with where there is no PIN, so that it takes as long.
const DECOY: &[u8] = b"\0no PIN";

/// A `voicemail.conf` with what it includes, and the PINs that stand in the spool.
#[derive(Debug)]
pub struct VoicemailFile {
    path: PathBuf,
    /// Asterisk's spool folder, which has a folder `voicemail`.
    spool: PathBuf,
    /// What was read last; `None`: nothing yet.
    mailboxes: RwLock<Option<Arc<Mailboxes>>>,
    watch: Mutex<Watch>,
}

type Mailboxes = std::collections::HashMap<Box<str>, Context>;

/// What tells one state of a file from another: where, since when, how long. `None`: it is not there.
type Stamp = Option<(u64, i64, i64, i64, i64, u64)>;
type Stamps = BTreeMap<PathBuf, Stamp>;

#[derive(Debug, Default)]
struct Watch {
    /// The files as they were when they were read last, or could not be.
    read: Stamps,
    /// As they were at the last look, where that is another state: it has to keep still.
    moving: Option<Stamps>,
    /// It was said that they cannot be read.
    said: bool,
    /// Each `secret.conf` of which it was said that it has no PIN.
    said_bad: BTreeSet<PathBuf>,
}

/// What is in the files, if that is whole.
struct Read {
    mailboxes: Mailboxes,
    /// Sentences without secrets.
    remarks: Vec<String>,
    /// Each `secret.conf` that is there and has no PIN.
    bad: BTreeSet<PathBuf>,
}

/// Why a file was not read.
enum Unread {
    /// It cannot be opened, is too large, or ends in the middle of something.
    Half,
    /// It has no mailbox, where there were some.
    Emptied,
}

impl PartialEq for VoicemailFile {
    // Where it is. What is in it changes by itself.
    fn eq(&self, other: &Self) -> bool {
        self.is_at(&other.path, &other.spool)
    }
}

impl Eq for VoicemailFile {}

impl VoicemailFile {
    /// Reads the file at `path` for the first time. Where it cannot be read, nobody can tell any PIN until it can.
    /// Remarks on single lines are returned: sentences without secrets.
    pub fn open(path: &Path, spool: &Path) -> (Self, Vec<String>) {
        let file = Self {
            path: path.to_owned(),
            spool: spool.to_owned(),
            mailboxes: RwLock::default(),
            watch: Mutex::default(),
        };
        let (mut stamps, read) = file.read();
        let (mut remarks, mut bad) = (Vec::new(), BTreeSet::new());
        match read {
            Some(Read { mailboxes, remarks: parsed, bad: secrets }) => {
                (remarks, bad) = (parsed, secrets);
                remarks.extend(bad.iter().take(BAD_SAID_MAX).map(|path| no_pin_in(path)));
                *file.mailboxes.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(mailboxes));
            }
            // The next look reads it, whatever it then is.
            None => stamps = Stamps::new(),
        }
        *file.watch.lock().unwrap_or_else(PoisonError::into_inner) =
            Watch { read: stamps, said_bad: bad, ..Watch::default() };
        (file, remarks)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if it is the file at `path`, with the spool folder `spool`.
    pub fn is_at(&self, path: &Path, spool: &Path) -> bool {
        self.path == path && self.spool == spool
    }

    /// True if it was read at least once.
    pub fn is_readable(&self) -> bool {
        self.mailboxes().is_some()
    }

    /// The contexts, as the file calls them.
    pub fn contexts(&self) -> Vec<Box<str>> {
        self.mailboxes().iter().flat_map(|mailboxes| mailboxes.values()).map(|it| it.name.clone()).collect()
    }

    /// How many mailboxes of `context` have a PIN.
    pub fn pins(&self, context: &str) -> usize {
        let mailboxes = self.mailboxes();
        let context = mailboxes.as_ref().and_then(|mailboxes| mailboxes.get(&*context.to_lowercase()));
        context.map_or(0, |it| it.mailboxes.values().filter(|mailbox| !mailbox.pin.is_empty()).count())
    }

    /// True if mailbox `number` of `context` has a PIN.
    pub fn has_pin(&self, context: &str, number: &str) -> bool {
        self.pin(context, number).is_some_and(|pin| !pin.is_empty())
    }

    /// True if `context` has a mailbox `number`, with a PIN or without.
    pub fn has_mailbox(&self, context: &str, number: &str) -> bool {
        self.pin(context, number).is_some()
    }

    /// Takes over what `before` knew, if that is the same file of an earlier configuration and this could not be read.
    pub fn inherit(&self, before: &Self) {
        if !self.is_at(&before.path, &before.spool) {
            return;
        }
        let mut mailboxes = self.mailboxes.write().unwrap_or_else(PoisonError::into_inner);
        if mailboxes.is_none() {
            mailboxes.clone_from(&before.mailboxes());
        }
    }

    /// Looks at the files and reads them again if they have changed and keep still. Reads files: for a thread that may
    /// wait for them.
    pub fn look(&self) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stamps: Stamps = watch.read.keys().map(|path| (path.clone(), stamp(path))).collect();
        stamps.entry(self.path.clone()).or_insert_with(|| stamp(&self.path));
        if stamps == watch.read {
            watch.moving = None;
            return;
        }
        if watch.moving.as_ref() != Some(&stamps) {
            watch.moving = Some(stamps);
            return;
        }
        let (read_stamps, read) = self.read();
        let had_some = self.mailboxes().is_some_and(|before| count(&before) > 0);
        let read = match read {
            Some(Read { mailboxes, .. }) if had_some && count(&mailboxes) == 0 => Err(Unread::Emptied),
            Some(read) => Ok(read),
            None => Err(Unread::Half),
        };
        let path = self.path.display();
        match read {
            Ok(Read { mailboxes, remarks, bad }) => {
                for path in bad.difference(&watch.said_bad).take(BAD_SAID_MAX) {
                    warn!("{}", no_pin_in(path));
                }
                watch.said_bad = bad;
                info!(%path, pins = count(&mailboxes), remarks = remarks.len(), "voicemail PINs read");
                *self.mailboxes.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(mailboxes));
                watch.said = false;
            }
            Err(unread) if !watch.said => {
                let reason = match unread {
                    Unread::Half => "it cannot be read whole",
                    Unread::Emptied => "it has no mailbox any more",
                };
                warn!(%path, reason, "voicemail PINs are those read last");
                watch.said = true;
            }
            Err(_) => {}
        }
        // It is read again when it is another.
        watch.read = if read_stamps.is_empty() { stamps } else { read_stamps };
        watch.moving = None;
    }

    /// All files as they were before they were read, and what is in them with remarks on it, if that is whole: none of
    /// them changed meanwhile.
    fn read(&self) -> (Stamps, Option<Read>) {
        let mut stamps = Stamps::new();
        let mut open = |path: &Path| {
            stamps.insert(path.to_owned(), stamp(path));
            content(path, parse::OCTETS_MAX)
        };
        let parsed = parse::parse(&self.path, &mut open);
        let Some(Parsed { mut contexts, files, remarks }) = parsed else { return (stamps, None) };
        let mut bad = BTreeSet::new();
        for path in files {
            stamps.entry(path).or_insert(None);
        }
        for context in contexts.values_mut() {
            for (number, mailbox) in context.mailboxes.iter_mut().filter(|(_, mailbox)| mailbox.in_spool) {
                let parts = [&*context.name, number];
                if parts.iter().any(|part| part.contains('/') || part.starts_with('.')) {
                    continue; // No mailbox that Asterisk would make.
                }
                let path = parts.iter().fold(self.spool.join("voicemail"), |path, part| path.join(part));
                let path = path.join("secret.conf");
                let before = stamp(&path);
                stamps.insert(path.clone(), before);
                match content(&path, SECRET_OCTETS_MAX) {
                    Err(error) if parse::is_not_there(&error) => {}
                    secret => {
                        let pin = secret.ok().and_then(parse::secret_conf).filter(|pin| !pin.is_empty());
                        if pin.is_none() {
                            bad.insert(path);
                        }
                        // The PIN of the file may be an old one: it is no fall-back for one that cannot be read.
                        mailbox.pin = pin.unwrap_or_default();
                    }
                }
            }
        }
        let still = stamps.iter().all(|(path, before)| stamp(path) == *before);
        (stamps, still.then_some(Read { mailboxes: contexts, remarks, bad }))
    }

    fn mailboxes(&self) -> Option<Arc<Mailboxes>> {
        self.mailboxes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pin(&self, context: &str, number: &str) -> Option<Zeroizing<Vec<u8>>> {
        let mailboxes = self.mailboxes()?;
        Some(mailboxes.get(&*context.to_lowercase())?.mailboxes.get(number)?.pin.clone())
    }
}

fn no_pin_in(path: &Path) -> String {
    format!("{} has no PIN that can be read: its mailbox has none", path.display())
}

fn count(mailboxes: &Mailboxes) -> usize {
    mailboxes.values().map(|context| context.mailboxes.len()).sum()
}

fn stamp(path: &Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec(), file.len()))
}

/// What is in a regular file. Anything else is refused: one might wait for ever for what a pipe has to say.
fn content(path: &Path, octets_max: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut octets = Zeroizing::new(Vec::new());
    file.take(octets_max as u64 + 1).read_to_end(&mut octets)?;
    if octets.len() > octets_max { Err(ErrorKind::FileTooLarge.into()) } else { Ok(octets) }
}

/// The mailboxes of one context as a tenant's PINs.
#[derive(Debug)]
pub struct VoicemailPins {
    file: Arc<VoicemailFile>,
    context: Box<str>,
}

impl VoicemailPins {
    /// Those of `context` in `file`.
    pub fn new(file: Arc<VoicemailFile>, context: &str) -> Self {
        Self { file, context: context.into() }
    }
}

impl PinBackend for VoicemailPins {
    fn name(&self) -> &'static str {
        "voicemail_conf"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { verify_clear: true, verify_hoteling: true, change_pin: false, watch: true }
    }

    fn verify(&self, extension: &str, proof: &Proof) -> Finding {
        if !self.file.is_readable() {
            return Finding::Unavailable;
        }
        let pin = self.file.pin(&self.context, extension);
        let usable = pin.as_ref().filter(|pin| !pin.is_empty());
        let is_proved = proof::is_of(proof, usable.map_or(DECOY, |pin| pin));
        match (pin.is_some(), usable) {
            (false, _) => Finding::Rejected(PinReject::UnknownExtension),
            (true, None) => Finding::Rejected(PinReject::NoPin),
            (true, Some(_)) if is_proved => Finding::Right,
            (true, Some(_)) => Finding::Rejected(PinReject::Wrong),
        }
    }

    /// The file is Asterisk's, which would not see what another program writes into it.
    fn change(&self, _: &str, _: &[u8], _: u64) -> Result<ChangedPin, PinChangeVerdict> {
        Err(PinChangeVerdict::Fixed)
    }
}

#[cfg(test)]
mod tests {
    use dataplane::query::Pin;
    use tempfile::TempDir;

    use super::*;

    struct Shop {
        folder: TempDir,
        file: Arc<VoicemailFile>,
    }

    impl Shop {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("voicemail.conf"), text).unwrap();
            let (file, remarks) = VoicemailFile::open(&folder.path().join("voicemail.conf"), folder.path());
            assert_eq!(remarks, [] as [&str; 0]);
            Self { folder, file: Arc::new(file) }
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn verify(&self, extension: &str, pin: &str) -> Finding {
            let pins = VoicemailPins::new(Arc::clone(&self.file), "Default");
            pins.verify(extension, &Proof::Clear(Pin::new(pin.as_bytes())))
        }
    }

    const UNKNOWN: Finding = Finding::Rejected(PinReject::UnknownExtension);
    const WRONG: Finding = Finding::Rejected(PinReject::Wrong);
    const NO_PIN: Finding = Finding::Rejected(PinReject::NoPin);

    #[test]
    fn the_pin_of_a_mailbox_is_verified_in_its_context() {
        let shop = Shop::new(
            "[default]\n1001 => 7738,John\n1002 => -2468\n1003 => ,Nobody\n[annex]\n1004 => 1357\n",
        );

        assert_eq!(shop.verify("1001", "7738"), Finding::Right);
        assert_eq!(shop.verify("1001", "7739"), WRONG);
        assert_eq!(shop.verify("1002", "2468"), Finding::Right);
        assert_eq!(shop.verify("1002", "-2468"), WRONG);
        assert_eq!(shop.verify("1004", "1357"), UNKNOWN);
        assert_eq!((shop.file.pins("default"), shop.file.pins("annex")), (2, 1));
    }

    #[test]
    fn an_empty_pin_opens_nothing() {
        let shop = Shop::new("[default]\n1003 => ,Nobody\n1004 => -\n");

        for pin in ["", "-", "0000"] {
            assert_eq!([shop.verify("1003", pin), shop.verify("1004", pin)], [NO_PIN; 2]);
        }
    }

    #[test]
    fn a_changed_pin_counts_when_the_file_has_kept_still() {
        let shop = Shop::new("[default]\n1001 => 7738\n");
        shop.file.look();

        shop.write("voicemail.conf", "[default]\n1001 => 24680\n");
        shop.file.look();
        assert_eq!(shop.verify("1001", "7738"), Finding::Right, "it may still be written");
        shop.file.look();

        assert_eq!(shop.verify("1001", "7738"), WRONG);
        assert_eq!(shop.verify("1001", "24680"), Finding::Right);
    }

    #[test]
    fn half_a_file_keeps_the_last_good_one() {
        let shop = Shop::new("[default]\n1001 => 7738\n");
        for text in
            ["[default]\n1001 => 9", "[defau", ""].map(|half| half.replace("1001 => 9", "1001 => 9\n["))
        {
            shop.write("voicemail.conf", &text);
            shop.file.look();
            shop.file.look();
            assert_eq!(shop.verify("1001", "7738"), Finding::Right, "{text}");
        }

        fs::remove_file(shop.file.path()).unwrap();
        shop.file.look();
        shop.file.look();
        assert_eq!(shop.verify("1001", "7738"), Finding::Right);

        shop.write("voicemail.conf", "[default]\n1001 => 2468\n");
        shop.file.look();
        shop.file.look();
        assert_eq!(shop.verify("1001", "2468"), Finding::Right);
    }

    #[test]
    fn a_file_that_comes_late_is_read_when_it_is_there() {
        let shop = Shop::new("");
        fs::remove_file(shop.file.path()).unwrap();
        let (late, _) = VoicemailFile::open(shop.file.path(), shop.folder.path());
        let shop = Shop { file: Arc::new(late), ..shop };
        assert_eq!(shop.verify("1001", "7738"), Finding::Unavailable);

        shop.write("voicemail.conf", "[default]\n1001 => 7738\n");
        shop.file.look();
        shop.file.look();

        assert_eq!(shop.verify("1001", "7738"), Finding::Right);
    }

    #[test]
    fn included_files_are_followed_too() {
        let shop = Shop::new("#include \"more.conf\"\n[default]\n1001 => 7738\n");
        assert_eq!(shop.verify("1001", "7738"), Finding::Unavailable, "half of it is missing");

        shop.write("more.conf", "[default]\n1002 => 1111\n");
        shop.file.look();
        shop.file.look();
        assert_eq!(shop.verify("1002", "1111"), Finding::Right);
        shop.write("more.conf", "[default]\n1002 => 22222\n");
        shop.file.look();
        shop.file.look();

        assert_eq!(shop.verify("1002", "22222"), Finding::Right);
        assert_eq!(shop.verify("1001", "7738"), Finding::Right);
    }

    #[test]
    fn a_pipe_is_no_file_and_nobody_waits_for_it() {
        let shop = Shop::new("[default]\n1001 => 7738\n");
        fs::remove_file(shop.file.path()).unwrap();
        let made = std::process::Command::new("mkfifo").arg(shop.file.path()).status().unwrap();
        assert!(made.success());

        shop.file.look();
        shop.file.look();

        assert_eq!(shop.verify("1001", "7738"), Finding::Right, "what was read last");
        assert!(!VoicemailFile::open(shop.file.path(), shop.folder.path()).0.is_readable());
    }

    #[test]
    fn pins_in_the_spool_count_over_those_of_the_file() {
        let shop = Shop::new("[general]\npasswordlocation=spooldir\n[default]\n1001 => 7738\n1002 => 2468\n");
        let secret = "voicemail/default/1001/secret.conf";
        shop.write(secret, "[general]\npassword = 5555\n");
        shop.file.look();
        shop.file.look();
        assert_eq!(shop.verify("1001", "5555"), Finding::Right);
        assert_eq!(shop.verify("1001", "7738"), WRONG);
        assert_eq!(shop.verify("1002", "2468"), Finding::Right, "the file is the fall-back");

        shop.write(secret, "[general]\npassword = 66666\n");
        shop.file.look();
        shop.file.look();

        assert_eq!(shop.verify("1001", "66666"), Finding::Right);
    }

    #[test]
    fn a_bad_secret_shuts_out_its_own_mailbox_until_it_is_mended() {
        let text = "[general]\npasswordlocation=spooldir\n[default]\n1001 => 7738\n1002 => 2468\n";
        let secret = "voicemail/default/1001/secret.conf";
        for bad in ["", "[general]\n", "[general]\npassword =\n", "[gen"] {
            let shop = Shop::new(text);
            shop.write(secret, bad);
            let (file, remarks) = VoicemailFile::open(shop.file.path(), shop.folder.path());
            let shop = Shop { file: Arc::new(file), ..shop };

            assert!(matches!(&remarks[..], [one] if one.contains("default/1001/secret.conf")), "{remarks:?}");
            assert_eq!(shop.verify("1001", "7738"), NO_PIN, "{bad:?}");
            assert_eq!(shop.verify("1002", "2468"), Finding::Right, "{bad:?}");

            shop.write(secret, "[general]\npassword = 5555\n");
            shop.file.look();
            shop.file.look();
            assert_eq!(shop.verify("1001", "5555"), Finding::Right, "{bad:?}");

            shop.write(secret, bad);
            shop.file.look();
            shop.file.look();
            assert_eq!(shop.verify("1001", "5555"), NO_PIN, "{bad:?}");
            assert_eq!(shop.verify("1002", "2468"), Finding::Right, "{bad:?}");
            assert_eq!(shop.file.watch.lock().unwrap().said_bad.len(), 1);
        }
    }

    #[test]
    fn a_guest_key_is_proved() {
        let shop = Shop::new("[default]\n1001 => 7738\n");
        let response = *b"4150937d34d7eb2fef038a8facc01047";
        let pins = VoicemailPins::new(Arc::clone(&shop.file), "default");
        let proof = |nonce: &[u8]| Proof::HotelingMd5 { nonce: nonce.into(), response };

        assert_eq!(pins.verify("1001", &proof(b"n0nce")), Finding::Right);
        assert_eq!(pins.verify("1001", &proof(b"another")), WRONG);
    }
}
